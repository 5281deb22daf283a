//! Splitting a command line as memcached does, and reading its numbers.

use crate::backend::memcached_model::{leading_i64, leading_u64};

/// memcached looks at so many tokens at a time; a multi-get goes on behind them.
const TOKENS_MAX: usize = 23;

/// The tokens of a line.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    tokens: [&'a [u8]; TOKENS_MAX],
    count: usize,
    rest: Option<&'a [u8]>,
}

impl<'a> Tokens<'a> {
    /// Splits at blanks; as in C, a zero byte ends the line.
    pub(super) fn split(line: &'a [u8]) -> Tokens<'a> {
        let line = match line.iter().position(|byte| *byte == 0) {
            Some(end) => &line[..end],
            None => line,
        };
        let mut tokens = Tokens { tokens: [&[]; TOKENS_MAX], count: 0, rest: None };
        let mut rest = line;
        loop {
            let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
            rest = &rest[start..];
            if rest.is_empty() {
                return tokens;
            }
            if tokens.count == TOKENS_MAX {
                tokens.rest = Some(rest);
                return tokens;
            }
            let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
            tokens.tokens[tokens.count] = &rest[..end];
            tokens.count += 1;
            rest = &rest[end..];
        }
    }

    /// How many there are, without what is behind the first 23.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// A token; beyond the last an empty one.
    pub(super) fn get(&self, index: usize) -> &'a [u8] {
        self.all().get(index).copied().unwrap_or_default()
    }

    pub(super) fn all(&self) -> &[&'a [u8]] {
        &self.tokens[..self.count]
    }

    /// What is behind the first 23.
    pub(super) fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }

    /// Whether the last token asks for no reply.
    pub(super) fn noreply(&self) -> bool {
        self.all().last().is_some_and(|token| *token == b"noreply")
    }
}

/// A 32-bit signed number; memcached cuts off what does not fit.
pub(super) fn signed(token: &[u8]) -> Option<i32> {
    leading_i64(token).map(|number| number as i32)
}

/// A 32-bit unsigned number; memcached cuts off what does not fit.
pub(super) fn unsigned(token: &[u8]) -> Option<u32> {
    leading_u64(token).map(|number| number as u32)
}

/// A 64-bit unsigned number.
pub(super) fn long(token: &[u8]) -> Option<u64> {
    leading_u64(token)
}
