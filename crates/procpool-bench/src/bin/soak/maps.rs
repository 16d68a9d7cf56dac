//! A lane that maps, and now and then gives a map up.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use tokio::time::timeout;

use crate::calls::Expect;
use crate::chance::Chance;
use crate::run::{STUCK, World};
use crate::work::{self, is_bad, mix};

pub(crate) async fn maps(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    let mut chance = Chance::new(world.options.seed, lane, round);
    while Instant::now() < until {
        if timeout(STUCK, one(&world, &mut chance)).await.is_err() {
            world.tally.wrong(format!("a map is stuck\n{}", world.pool.snapshot()));
            return;
        }
    }
}

async fn one(world: &World, chance: &mut Chance) {
    let count = 1 + chance.below(4000);
    let given_up_at = if chance.one_in(4) { chance.below(count) } else { count };
    let first = world.numbers(count);
    let mut map = world.pool.map_with(world.tasks.clone(), work::item, first..first + count);
    (0..count).for_each(|_| world.tally.submit());
    for number in first..first + given_up_at {
        let Some(result) = map.next().await else {
            world.tally.wrong(format!("a map of {count} ended before item {:x}", number));
            return;
        };
        let expect = if is_bad(number) { Expect::Panic } else { Expect::Value };
        if let Err(error) = &result
            && error.index() != Some((number - first) as usize)
        {
            world.tally.wrong(format!("item {} of a map: {error} has the index {:?}", number - first, error.index()));
        }
        world.check("item", number, result, expect, |value| *value == mix(number));
    }
    if given_up_at == count && map.next().await.is_some() {
        world.tally.wrong(format!("a map of {count} has more results"));
    }
    drop(map);
    (first + given_up_at..first + count).for_each(|number| world.tally.drop_it("item", number));
}
