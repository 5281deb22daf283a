//! Prints how each client fares: `cargo run` in this folder.

fn main() {
    let verdicts: Vec<_> = clients::SUBJECTS.iter().map(clients::try_out).collect();
    print!("{}", clients::table(&verdicts));
}
