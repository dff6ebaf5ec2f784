//! Makes inputs out of others: changes bytes, takes out, doubles, joins, and puts in words that the target knows.

use crate::dice::Dice;

/// The longest input, in bytes: beyond every bound that a target has, and short enough to be quick.
pub(crate) const INPUT_BYTES_MAX: usize = 40_000;

/// Bytes that mean something to most readers of texts.
const TELLING: &[u8] = b"\0\t\n\r \"#$%&'*+,-./0189:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xbf\xc3\xff";

/// Another input: one or a few changes of one of the corpus.
pub(crate) fn mutated(dice: &mut Dice, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = dice.one_of(corpus).clone();
    // Mostly one change: what reaches far in is broken by many.
    let changes = if dice.below(2) == 0 { 1 } else { 1 + dice.below(6) };
    for _ in 0..changes {
        change(dice, &mut input, corpus, words);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(dice: &mut Dice, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let at = dice.below(input.len() + 1);
    let length = dice.few(32);
    let end = (at + length).min(input.len());
    match dice.below(11) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 if at < input.len() => input[at] = *dice.one_of(TELLING),
        2 => input.insert(at, *dice.one_of(TELLING)),
        3 => drop(input.drain(at..end)),
        4 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        5 => {
            // Much of the same: what grows faster than its input is noticed by its time.
            let (again, times) = (input[at..end].to_vec(), 1 + dice.few(2000));
            let much: Vec<u8> =
                again.into_iter().cycle().take(length * times).take(INPUT_BYTES_MAX).collect();
            input.splice(at..at, much);
        }
        6 => {
            let other = dice.one_of(corpus);
            let from = dice.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        7 => {
            let number = [0, 1, u64::MAX, i64::MAX as u64, u64::from(u32::MAX), dice.number()][dice.below(6)];
            input.splice(at..end, number.to_string().into_bytes());
        }
        8 => {
            let word = dice.one_of(words).as_bytes().to_vec();
            input.splice(at..end, word);
        }
        9 => line(dice, input),
        _ => {
            let word = dice.one_of(words).as_bytes().to_vec();
            input.splice(at..at, word);
        }
    }
}

/// Takes out a line, doubles it, or has it change places with another.
fn line(dice: &mut Dice, input: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(3) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one].clone()),
        _ => lines.swap(one, other),
    }
    *input = lines.join(&b'\n');
}
