//! What is lent is copied for the journey.
use procpool::call;

#[derive(serde::Serialize, serde::Deserialize)]
struct Page;

fn size(_: &Page) -> usize {
    0
}

fn main() {
    let page = Page;
    let _ = call!(size(&page));
}
