//! What was given to an operator of a content stream, and can it be what was written?

use super::lexer::Token;

/// Is this operator not the one that was written, or are its operands not those? Where nothing but a
/// damaged byte explains what stands there, a text may be lost that was to be shown.
pub(crate) fn is_damaged(operator: &[u8], operands: &[Token<'_>], is_known: bool) -> bool {
    let expected = match operator {
        b"BT" | b"ET" | b"T*" => 0,
        b"Tc" | b"Tw" | b"Tz" | b"TL" | b"Ts" | b"Tr" | b"Tj" | b"'" => 1,
        b"Tf" | b"Td" | b"TD" => 2,
        b"\"" => 3,
        b"Tm" => 6,
        b"TJ" | b"BDC" | b"DP" => return false,
        // strings are shown, or describe a mark
        _ => {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'_' | b'-' | b'.');
            return has_text(operands) || !(is_known || operator.iter().all(is_name));
        }
    };
    operands.len() > expected
}

/// Is one of them a string?
pub(crate) fn has_text(operands: &[Token<'_>]) -> bool {
    operands.iter().any(|operand| matches!(operand, Token::Text(_)))
}

/// The last `N` operands, if they are numbers.
pub(crate) fn numbers<const N: usize>(operands: &[Token<'_>]) -> Option<[f64; N]> {
    let tail = operands.get(operands.len().checked_sub(N)?..)?;
    let mut found = [0.0; N];
    for (slot, token) in found.iter_mut().zip(tail) {
        let Token::Number(number) = token else { return None };
        *slot = *number;
    }
    Some(found)
}
