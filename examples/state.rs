//! A speller in worker processes: each worker has a model of its own, which it makes once and learns with (its *state*),
//! and a dictionary that is sent to it once (a *shared value*), however many words it is asked about.
//!
//! ```text
//! cargo run --release --example state
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use procpool::{AnyError, Pool, Shared, StatePool};

const TEXT: &str = include_str!("../README.md");

/// What a worker knows about letters, and the answers that it has given. It is made in the worker and stays there, so
/// that it may hold what could not travel: an `Rc` here; a connection, a mapped file or a handle of a C library elsewhere.
struct Speller {
    pairs: HashMap<(char, char), u32>,
    answers: HashMap<String, Rc<str>>,
    asked: u32,
}

/// Runs once in each worker, before its first task. In a service it would open and check a file.
fn train(text: String) -> Result<Speller, AnyError> {
    let mut pairs = HashMap::new();
    for word in words(&text) {
        for pair in word.chars().zip(word.chars().skip(1)) {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    if pairs.is_empty() {
        return Err(AnyError::msg("there is nothing to learn from this text"));
    }
    Ok(Speller { pairs, answers: HashMap::new(), asked: 0 })
}

/// Runs in a worker, with that worker's speller. The dictionary is a pointer to the one copy that the worker has.
fn correct(speller: &mut Speller, (dictionary, word): (Shared<Vec<String>>, String)) -> String {
    speller.answer(&dictionary, &word)
}

/// What the tasks of one worker have come to.
fn review(speller: &mut Speller, (): ()) -> (u32, usize, u32) {
    (speller.asked, speller.answers.len(), procpool::current().pid())
}

impl Speller {
    /// The nearest word of the dictionary; of several the one whose letters are most at home beside each other.
    fn answer(&mut self, dictionary: &[String], word: &str) -> String {
        self.asked += 1;
        if let Some(known) = self.answers.get(word) {
            return known.to_string();
        }
        let best = dictionary.iter().min_by_key(|known| {
            let ease: u32 = known.chars().zip(known.chars().skip(1)).filter_map(|pair| self.pairs.get(&pair)).sum();
            (distance(known, word), std::cmp::Reverse(ease), known.len())
        });
        let best = best.map_or_else(String::new, String::clone);
        self.answers.insert(word.to_owned(), best.as_str().into());
        best
    }
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spellers: StatePool<Speller> = Pool::builder().workers(2).try_build_with_state(train, TEXT.to_owned())?;

    let dictionary: Vec<String> =
        words(TEXT).collect::<HashSet<_>>().into_iter().filter(|word| word.len() > 3).collect();
    let dictionary = spellers.pool().shared(sorted(dictionary))?;
    // 2,000 questions about 40 misspelt words: each item holds a key of a few bytes, not the dictionary.
    let misspelt: Vec<String> = dictionary.iter().step_by(dictionary.len() / 40).map(|word| misspell(word)).collect();
    let questions = misspelt.iter().cycle().take(2_000).map(|word| (dictionary.clone(), word.clone()));
    let answers = spellers.map(correct, questions).await?;

    let mut alone = train(TEXT.to_owned())?;
    let expected: Vec<String> = misspelt.iter().map(|word| alone.answer(&dictionary, word)).collect();
    assert!(answers.iter().eq(expected.iter().cycle().take(2_000)), "the same answers as in one process");
    for (word, answer) in misspelt.iter().zip(&answers).take(5) {
        println!("{word} → {answer}");
    }

    // A map of many reviews meets both workers as a rule, but nobody promises it.
    let reviews: BTreeMap<u32, (u32, usize)> =
        spellers.map(review, [(); 100]).await?.into_iter().map(|(asked, learnt, pid)| (pid, (asked, learnt))).collect();
    for (pid, (asked, learnt)) in &reviews {
        println!("process {pid} was asked {asked} times and looked up {learnt} words");
        assert!(*learnt <= misspelt.len());
    }

    // A panic may leave a state half-changed, so it is dropped; whoever comes next meets one that was made anew.
    let broken = spellers.run(|speller, limit: usize| assert!(speller.answers.len() < limit), 0).await;
    println!("{}", broken.as_ref().map_or_else(ToString::to_string, |()| "no panic".to_owned()));
    assert!(broken.is_err_and(|error| error.is_panic()));
    assert_eq!(spellers.run(correct, (dictionary.clone(), misspelt[0].clone())).await?, expected[0]);

    let report = spellers.pool().shutdown().await?;
    println!("{} tasks, {} values: equal to one process's", report.submitted, report.succeeded);
    Ok(())
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase)
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort_unstable();
    words
}

/// Swaps two letters in the middle.
fn misspell(word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let middle = letters.len() / 2;
    letters.swap(middle - 1, middle);
    letters.into_iter().collect()
}

/// How many letters must be changed, left out or put in.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
