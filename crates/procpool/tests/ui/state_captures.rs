//! What uses or makes a state is a function pointer: what a closure captures would have to travel (as the argument).
async fn scaled(models: procpool::StatePool<Vec<u64>>, factor: u64) {
    let _ = models.run(|model, x: u64| model[0] * x * factor, 3).await;
    let _ = procpool::Pool::builder().build_with_state(|size: usize| vec![factor; size], 3);
}

fn main() {}
