//! What is known of the clients. A failure here means that a client has changed.

use clients::{SUBJECTS, try_out};

#[test]
fn clients_hand_out_foreign_values_and_block_as_is_known() {
    for subject in &SUBJECTS {
        let verdict = try_out(subject);
        println!("{verdict:?}");
        let hands_out = [
            "memcache 0.21, classic binary, no check on checkout",
            "memcache-async 0.10, cancelled by a timeout",
        ];
        assert_eq!(verdict.foreign.is_some(), hands_out.contains(&subject.name), "{verdict:?}");
        let blocks = ["memcache 0.21, classic binary", "memcache 0.21, classic ascii"];
        assert_eq!(!verdict.keeps_its_timeout(), blocks.contains(&subject.name), "{verdict:?}");
        assert!(verdict.usable || !subject.name.starts_with("memcache 0.21"), "{verdict:?}");
    }
}
