//! What tasks give back.

use procpool::{Pool, call};
use procpool_tests::tasks::{power, same};
use procpool_tests::test;

test! {
    async fn behaviour_01_ten_handles_awaited_in_any_order() {
        let pool = Pool::builder().workers(2).build().unwrap();
        let mut runs: Vec<_> = (0..10u64).map(|x| (x, pool.spawn(call!(power(x))))).collect();
        for index in [9, 0, 4, 4, 1, 2, 2, 2, 0, 0] {
            let (x, run) = runs.remove(index.min(runs.len() - 1));
            assert_eq!(run.await.unwrap(), power(x));
        }
        assert_eq!(pool.run(call!(same("text".to_string()))).await.unwrap(), "text");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.submitted, report.succeeded, report.balances()), (11, 11, true));
    }
}
