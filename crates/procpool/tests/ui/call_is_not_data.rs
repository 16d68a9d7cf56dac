//! A `Call` that was read from somewhere could name code that its types do not allow.
fn reads<T: serde::de::DeserializeOwned>() {}

fn main() {
    reads::<procpool::Call<u64>>();
}
