//! Cutting what a worker prints into lines.

/// The longest piece of a line that is kept together, so that piece and line feed pass through a pipe in one go.
const PIECE: usize = crate::sys::sink::ATOMIC - 1;

/// Of longer lines an event, or an error, has so many bytes.
const SHOWN: usize = 1024;

/// Bytes on their way to becoming lines.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// The line that `partial` is of began in an earlier piece.
    continued: bool,
}

/// A line, or a piece of a very long one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// As it was printed; with a line feed, unless more of the line follows.
    pub(super) bytes: Vec<u8>,
    /// The line as text; `None` for what follows the first piece.
    pub(super) text: Option<String>,
}

impl Lines {
    /// Takes more bytes, and gives each piece that is whole.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece)) {
        while !bytes.is_empty() {
            let room = PIECE - self.partial.len();
            let end = bytes.iter().take(room).position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(bytes.len().min(room));
            self.partial.extend_from_slice(&bytes[..taken]);
            match end {
                Some(_) => {
                    bytes = &bytes[taken + 1..];
                    each(self.finish());
                }
                None => {
                    bytes = &bytes[taken..];
                    if self.partial.len() == PIECE {
                        each(self.cut());
                    }
                }
            }
        }
    }

    /// Ends a line that was begun.
    pub(super) fn end(&mut self, each: impl FnOnce(Piece)) {
        if !self.partial.is_empty() || self.continued {
            each(self.finish());
        }
    }

    fn finish(&mut self) -> Piece {
        let mut bytes = std::mem::take(&mut self.partial);
        let text = (!std::mem::take(&mut self.continued)).then(|| text(&bytes));
        bytes.push(b'\n');
        Piece { bytes, text }
    }

    fn cut(&mut self) -> Piece {
        let bytes = std::mem::take(&mut self.partial);
        let text = (!std::mem::replace(&mut self.continued, true)).then(|| text(&bytes));
        Piece { bytes, text }
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut end = line.len().min(SHOWN);
    // Not within a character, which is at most four bytes long.
    if end < line.len() {
        let start = end - 3;
        while end > start && line[end] & 0b1100_0000 == 0b1000_0000 {
            end -= 1;
        }
    }
    String::from_utf8_lossy(&line[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(parts: &[&[u8]]) -> Vec<Piece> {
        let (mut lines, mut pieces) = (Lines::default(), Vec::new());
        for part in parts {
            lines.push(part, |piece| pieces.push(piece));
        }
        lines.end(|piece| pieces.push(piece));
        pieces
    }

    fn texts(parts: &[&[u8]]) -> Vec<String> {
        pieces(parts).into_iter().filter_map(|piece| piece.text).collect()
    }

    #[test]
    fn lines_end_in_line_feeds_and_at_the_end() {
        assert_eq!(texts(&[b"one\ntw", b"o\r\n\n", b"", b" three \t"]), ["one", "two", "", " three \t"]);
        assert_eq!(texts(&[b"\x1b[31mred\x1b[0m\n"]), ["\x1b[31mred\x1b[0m"]);
        assert_eq!(texts(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
        assert_eq!(pieces(&[b"\n"]), [Piece { bytes: b"\n".to_vec(), text: Some(String::new()) }]);
        assert_eq!(pieces(&[b"no end"])[0].bytes, b"no end\n");
    }

    #[test]
    fn a_long_line_is_shown_cut_and_passed_on_whole() {
        let mut line = vec![b'x'; 10_000];
        line.push(b'\n');
        let pieces = pieces(&[&line]);
        assert_eq!(
            pieces.iter().map(|piece| piece.bytes.len()).collect::<Vec<_>>(),
            [PIECE, PIECE, 10_001 - 2 * PIECE]
        );
        assert_eq!(pieces.iter().filter_map(|piece| piece.text.as_deref()).collect::<Vec<_>>(), ["x".repeat(SHOWN)]);
        assert_eq!(pieces.concat_bytes(), line);
    }

    #[test]
    fn a_line_is_not_cut_within_a_character() {
        for shift in 0..4 {
            let line = format!("{}{}", "x".repeat(shift), "😀".repeat(1000));
            let text = text(line.as_bytes());
            assert!(line.starts_with(&text) && text.len() > SHOWN - 4, "{shift}");
        }
        assert_eq!(text(&[0x80; 3000]).chars().count(), SHOWN - 3);
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl Concat for Vec<Piece> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_it_comes(parts: Vec<Vec<u8>>, long in 0..20_000usize) {
            let mut all = parts.concat();
            all.extend(vec![b'y'; long]);
            let long = vec![b'y'; long];
            let refs: Vec<&[u8]> = parts.iter().map(Vec::as_slice).chain([long.as_slice()]).collect();
            if !all.is_empty() && all.last() != Some(&b'\n') {
                all.push(b'\n');
            }
            let pieces = pieces(&refs);
            prop_assert!(pieces.iter().all(|piece| piece.bytes.len() <= PIECE + 1));
            prop_assert_eq!(pieces.concat_bytes(), all);
        }
    }
}
