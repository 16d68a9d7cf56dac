//! A program that forgot `procpool::init()`, and whose pool has workers that run this program.

use procpool::Pool;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let error = Pool::builder().program("/bin/true").build().map(drop).expect_err("a worker that does not know it");
    eprintln!("refused: {:?}", error.kind());
}
