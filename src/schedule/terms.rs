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
#[cfg(not(test))]
#[inline(always)]
pub(super) fn counts(_: &'static str) -> bool {
    true
}

#[cfg(test)]
pub(super) use without::counts;
#[cfg(test)]
pub(crate) use without::{leaving_out, terms_of};

#[cfg(test)]
mod without {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;

    thread_local! {
        static LEFT_OUT: Cell<Option<&'static str>> = const { Cell::new(None) };
        static MET: RefCell<Option<BTreeSet<&'static str>>> = const { RefCell::new(None) };
    }

    pub(in crate::schedule) fn counts(term: &'static str) -> bool {
        MET.with_borrow_mut(|met| met.as_mut().map(|met| met.insert(term)));
        LEFT_OUT.get() != Some(term)
    }

    /// Runs something without a term, in this thread.
    pub(crate) fn leaving_out<T>(term: &'static str, run: impl FnOnce() -> T) -> T {
        LEFT_OUT.set(Some(term));
        let result = run();
        LEFT_OUT.set(None);
        result
    }

    /// Runs something; says which terms were asked about.
    pub(crate) fn terms_of(run: impl FnOnce()) -> Vec<&'static str> {
        MET.set(Some(BTreeSet::new()));
        run();
        MET.take().into_iter().flatten().collect()
    }
}
