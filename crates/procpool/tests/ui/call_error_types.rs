//! Most errors are not serde: the message names `AnyError`.
use procpool::call;

fn read(path: String) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn boxed() -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    Ok(1)
}

fn main() {
    let path = String::new();
    let _ = call!(read(path));
    let _ = call!(boxed());
}
