//! A task gets the state that its pool has, and the state of a function that fails is made by `try_build_with_state`.
struct Model;

fn load(path: String) -> Result<Model, std::io::Error> {
    std::fs::read(path).map(|_| Model)
}

fn predict(_: &mut Model, x: u32) -> f32 {
    x as f32
}

async fn other(models: procpool::StatePool<String>) {
    let _ = models.run(predict, 3).await;
    let _: procpool::StatePool<Model> = procpool::Pool::builder().build_with_state(load, String::new()).unwrap();
}

fn main() {}
