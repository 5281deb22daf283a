//! Terms of a state's copy and of its name. A test may leave one out, to show that what is lost
//! then would be noticed; elsewhere all of them count, and asking costs nothing.

use std::hash::{Hash, Hasher};

/// Makes a part of a state like another, in the memory that is there: a search goes back a
/// million times a second. All fields are listed: plain ones; `parts`, and lists of parts, that
/// have a `become_like` of their own; and those that are the `same` in all states of a run.
macro_rules! become_like {
    ($part:ident: $to:expr, $from:expr;
     $($field:ident),+
     $(; parts $($inner:ident),+)?
     $(; lists $($list:ident),+)?
     $(; same $($same:ident),+)?) => {{
        let $part { $($field,)+ $($($inner,)+)? $($($list,)+)? $($($same: _,)+)? } = $from;
        $(if become_like!(? $part, $field) {
            $to.$field.clone_from($field);
        })+
        $($(if become_like!(? $part, $inner) {
            $to.$inner.become_like($inner);
        })+)?
        $($(if become_like!(? $part, $list) {
            debug_assert_eq!($to.$list.len(), $list.len(), "nobody comes or goes for good");
            for (to, from) in $to.$list.iter_mut().zip($list) {
                to.become_like(from);
            }
        })+)?
    }};
    (? $part:ident, $field:ident) => {
        $crate::schedule::terms::counts(concat!(
            "copy ", stringify!($part), ".", stringify!($field)
        ))
    };
}
pub(super) use become_like;

/// Feeds a term of a state's name to a hasher.
#[inline]
pub(super) fn feed(term: &'static str, value: &(impl Hash + ?Sized), into: &mut impl Hasher) {
    if counts(term) {
        value.hash(into);
    }
}

/// Whether a term counts.
#[inline(always)]
pub(super) fn counts(_: &'static str) -> bool {
    true
}
