//! Numbers as the C library reads them, which is how memcached reads them.

/// The unsigned number at the start of a text, as `strtoull` followed by memcached's checks
/// reads it: blanks and a sign may come before, anything that follows a blank is ignored,
/// and a minus sign is refused only when the result's top bit is set.
pub(crate) fn leading_u64(text: &[u8]) -> Option<u64> {
    let (negative, number) = leading_digits(text)?;
    let number = if negative { number.wrapping_neg() } else { number };
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let refused = (number as i64) < 0 && text[..end].contains(&b'-');
    (!refused).then_some(number)
}

/// The signed number at the start of a text, as `strtol` reads it.
#[cfg(feature = "serve")]
pub(crate) fn leading_i64(text: &[u8]) -> Option<i64> {
    match leading_digits(text)? {
        (true, number) => 0i64.checked_sub_unsigned(number),
        (false, number) => i64::try_from(number).ok(),
    }
}

/// Sign and digits at the start of a text; only a blank or the end may follow them.
fn leading_digits(text: &[u8]) -> Option<(bool, u64)> {
    let start = text.iter().position(|byte| !is_space(*byte))?;
    let (negative, digits_at) = match text[start] {
        b'-' => (true, start + 1),
        b'+' => (false, start + 1),
        _ => (false, start),
    };
    let digits = &text[digits_at..];
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let mut number: u64 = 0;
    for digit in &digits[..count] {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    match digits.get(count) {
        None | Some(0) => Some((negative, number)),
        Some(byte) if is_space(*byte) => Some((negative, number)),
        Some(_) => None,
    }
}

/// What C calls space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

#[cfg(test)]
mod tests {
    use super::leading_u64;

    #[test]
    fn numbers_read_as_the_c_library_reads_them() {
        let reads: [(&[u8], Option<u64>); 16] = [
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"  +5 x", Some(5)),
            (b"9 ", Some(9)),
            (b"5\0x", Some(5)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"-1", None),
            (b"-0", Some(0)),
            (b"-18446744073709551615", Some(1)),
            (b"9223372036854775808 -", None),
            (b"5x", None),
            (b"", None),
            (b" ", None),
            (b"+", None),
            (b"x", None),
        ];
        for (text, number) in reads {
            assert_eq!(leading_u64(text), number, "{}", text.escape_ascii());
        }
    }
}
