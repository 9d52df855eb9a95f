//! What the seam promises, by example.

use super::*;

const MINUTE: i64 = 60 * SECOND;
/// A time at which a minute begins.
const START: i64 = 1_700_000_040 * SECOND;

fn trades(order: Order) -> Bench {
    Bench::new(Channel::Trades, false, rules(order, 100, (true, true)), None)
}

/// So many seconds after the start.
fn after(seconds: i64) -> i64 {
    START + seconds * SECOND
}

fn history(ids: impl IntoIterator<Item = u64>) -> Vec<Event> {
    ids.into_iter().map(|id| trade(id, after(id as i64))).collect()
}

fn live(bench: &mut Bench, ids: impl IntoIterator<Item = u64>) {
    history(ids).into_iter().for_each(|event| bench.live(event));
}

/// Ids, and the number of what is missed as a negative one.
fn told(bench: &Bench) -> Vec<i64> {
    let number = |event: &Event| match gap(event) {
        Some(gap) => -(gap.missed.unwrap() as i64),
        None => id(event).unwrap() as i64,
    };
    bench.events.iter().map(number).collect()
}

#[test]
fn what_was_missed_comes_before_what_is_live() {
    let mut bench = trades(Order::Strict);
    live(&mut bench, [1, 5, 6]);
    assert_eq!(told(&bench), [1]);
    bench.tick(after(7));
    bench.answer(&history(1..=6));
    assert_eq!(told(&bench), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn live_first_does_not_wait() {
    let mut bench = trades(Order::LiveFirst);
    live(&mut bench, [1, 5, 6]);
    assert_eq!(told(&bench), [1, 5, 6]);
    bench.tick(after(7));
    bench.answer(&history(1..=6));
    assert_eq!(told(&bench), [1, 5, 6, 2, 3, 4]);
}

#[test]
fn what_is_merely_out_of_order_is_not_asked_for() {
    for order in [Order::Strict, Order::LiveFirst] {
        let mut bench = trades(order);
        live(&mut bench, [1, 3, 2, 4]);
        bench.tick(after(5));
        assert_eq!(bench.asks, 0);
        assert_eq!(bench.events.len(), 4);
    }
}

#[test]
fn another_hole_is_asked_for_after_the_first() {
    for order in [Order::Strict, Order::LiveFirst] {
        let mut bench = trades(order);
        live(&mut bench, [1, 4]);
        bench.tick(after(5));
        live(&mut bench, [8]);
        bench.tick(after(9));
        bench.answer(&history(1..=8));
        bench.tick(after(10));
        bench.answer(&history(1..=8));
        let mut all = told(&bench);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn what_the_history_leaves_out_is_a_gap() {
    for (order, wanted) in [(Order::Strict, [1, 2, -2, 5]), (Order::LiveFirst, [1, 5, 2, -2])] {
        let mut bench = trades(order);
        live(&mut bench, [1, 5]);
        bench.tick(after(6));
        bench.answer(&history([1, 2, 5]));
        assert_eq!(told(&bench), wanted);
        let gap = bench.events.iter().find_map(gap).unwrap();
        assert_eq!((gap.from, gap.to), (at(after(2)), at(after(5))));
    }
}

#[test]
fn a_history_that_is_late_is_asked_again() {
    let mut bench = trades(Order::Strict);
    live(&mut bench, [1, 5]);
    bench.tick(after(6));
    bench.answer(&history([1, 2, 3]));
    assert_eq!(told(&bench), [1, 2, 3]);
    bench.tick(after(7));
    assert_eq!(bench.asks, 1, "not at once");
    bench.tick(after(9));
    bench.answer(&history(1..=5));
    assert_eq!(told(&bench), [1, 2, 3, 4, 5]);
}

#[test]
fn a_history_that_never_tells_is_believed_after_a_minute() {
    let mut bench = trades(Order::Strict);
    live(&mut bench, [1, 5]);
    for second in 6..80 {
        bench.tick(after(second));
        bench.told();
    }
    assert_eq!(told(&bench), [1, -3, 5]);
}

#[test]
fn a_stream_that_is_silent_after_a_disruption_is_verified() {
    let mut bench = trades(Order::Strict);
    live(&mut bench, [1]);
    bench.disrupted();
    bench.tick(after(10));
    bench.tick(after(14));
    assert_eq!(bench.asks, 0, "it may say something itself");
    bench.tick(after(15));
    bench.answer(&history(1..=3));
    assert_eq!(told(&bench), [1, 2, 3]);
    bench.tick(after(100));
    assert_eq!(bench.asks, 1);
}

/// A history that cannot be had costs what lies before, and nothing of what comes live.
#[test]
fn a_verification_that_is_given_up_loses_nothing_live() {
    let mut bench = trades(Order::Strict);
    live(&mut bench, [1]);
    bench.disrupted();
    bench.tick(after(10));
    bench.tick(after(15));
    bench.give_up();
    live(&mut bench, [2, 3]);
    assert_eq!(told(&bench), [1, 2, 3]);

    let wanted = Some(after(-60));
    let mut bench = Bench::new(
        Channel::Trades,
        false,
        rules(Order::LiveFirst, 100, (true, true)),
        wanted,
    );
    bench.tick(after(0));
    bench.give_up();
    let missing: Vec<_> = bench
        .events
        .iter()
        .filter_map(gap)
        .map(|gap| (gap.from, gap.to))
        .collect();
    assert_eq!(missing, [(at(after(-60)), at(after(0)))]);
    live(&mut bench, [2, 3]);
    bench.tick(after(5));
    bench.answer(&history([2, 3]));
    let ids: Vec<_> = bench.events.iter().filter_map(id).collect();
    assert_eq!(ids, [2, 3]);
}

/// A stream that is not wanted for a while goes on where it was.
#[test]
fn streams_that_are_left_out_are_remembered() {
    let plan = |channel| {
        let stream = stream(channel);
        Plan {
            stream,
            of: stream,
            sent: true,
        }
    };
    let (bars, trades) = (plan(Channel::Candles(Timeframe::M1)), plan(Channel::Trades));
    let rules = rules(Order::Strict, 100, (true, true));
    let mut both = Seam::new(&[bars, trades], rules, Some(at(START)));
    both.start(trades.stream, Mark::id(7, at(after(7))));
    let mut one = Seam::new(&[bars], rules, None);
    one.resume(&both.detail()).unwrap();
    one.start(bars.stream, Mark::at(at(START + MINUTE)));
    let mut again = Seam::new(&[trades, bars], rules, None);
    again.resume(&one.detail()).unwrap();
    assert_eq!(again.mark(trades.stream), both.mark(trades.stream));
    assert_eq!(again.mark(bars.stream), Some(Mark::at(at(START + MINUTE))));
    let detail = one.detail();
    one.resume(&detail).unwrap();
    assert_eq!(one.detail().matches("trades").count(), 1);
}

#[test]
fn too_many_that_wait_are_given_up_and_asked_for() {
    let mut bench = Bench::new(Channel::Trades, false, rules(Order::Strict, 3, (true, true)), None);
    live(&mut bench, [1]);
    live(&mut bench, 3..=12);
    bench.tick(after(13));
    bench.answer(&history(1..=12));
    bench.tick(after(14));
    if bench.asked.is_some() {
        bench.answer(&history(1..=12));
    }
    assert_eq!(told(&bench), (1..=12).collect::<Vec<_>>());
}

#[test]
fn holes_outlive_a_crash() {
    let mut bench = trades(Order::LiveFirst);
    live(&mut bench, [1, 5]);
    bench.store();
    bench.crash();
    live(&mut bench, [5, 6]);
    bench.tick(after(7));
    bench.answer(&history(1..=6));
    assert_eq!(told(&bench), [1, 5, 6, 2, 3, 4]);
}

#[test]
fn nothing_from_before_the_wanted_time_comes() {
    let mut bench = Bench::new(
        Channel::Trades,
        false,
        rules(Order::Strict, 100, (true, true)),
        Some(after(3)),
    );
    live(&mut bench, 1..=5);
    bench.tick(after(6));
    bench.answer(&history(1..=5));
    assert_eq!(told(&bench), [3, 4, 5]);
}

fn candles(sends: bool, polled: bool) -> Bench {
    let channel = Channel::Candles(Timeframe::M1);
    Bench::new(channel, polled, rules(Order::Strict, 100, (sends, sends)), None)
}

fn minute(number: i64, trades: u64, closed: bool) -> Event {
    bar(Timeframe::M1, START + number * MINUTE, trades, closed)
}

/// The minute and the number of trades of each bar.
fn bars(bench: &Bench) -> Vec<(i64, u64)> {
    let bar = |event: &Event| match &event.data {
        Data::Candle(candle) => ((event.timestamp.nanos() - START) / MINUTE, candle.trades.unwrap()),
        _ => (-1, gap(event).unwrap().missed.unwrap()),
    };
    bench.events.iter().map(bar).collect()
}

#[test]
fn the_next_bar_ends_the_one_before() {
    let mut bench = candles(false, false);
    for event in [minute(0, 1, false), minute(0, 2, false), minute(3, 1, false)] {
        bench.live(event);
    }
    assert_eq!(bars(&bench), [(0, 2)], "minutes without a trade are left out");
    bench.tick(START + 4 * MINUTE + 4 * SECOND);
    assert_eq!(bars(&bench).len(), 1);
    bench.tick(START + 4 * MINUTE + 5 * SECOND);
    assert_eq!(bars(&bench), [(0, 2), (3, 1)], "so does time");
    assert_eq!(bench.asks, 0);
}

#[test]
fn a_late_trade_revises_a_bar() {
    let mut bench = candles(true, false);
    for event in [
        minute(0, 5, true),
        minute(0, 5, true),
        minute(0, 6, true),
        minute(0, 5, true),
    ] {
        bench.live(event);
    }
    assert_eq!(bars(&bench), [(0, 5), (0, 6)]);
    let Data::Candle(revised) = &bench.events[1].data else {
        panic!()
    };
    assert_eq!(revised.revision, 1);
}

#[test]
fn bars_that_were_not_sent_are_asked_for() {
    let mut bench = candles(true, false);
    let all: Vec<_> = (0..6).map(|number| minute(number, 1, number < 5)).collect();
    bench.live(all[0].clone());
    bench.live(all[3].clone());
    bench.tick(START + 4 * MINUTE);
    bench.answer(&all);
    assert_eq!(bars(&bench), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    bench.tick(START + 5 * MINUTE + 5 * SECOND);
    bench.answer(&all);
    assert_eq!(bars(&bench).last(), Some(&(4, 1)), "overdue");
}

#[test]
fn only_a_later_bar_says_that_one_is_not_there() {
    let mut bench = candles(true, false);
    bench.live(minute(0, 1, true));
    bench.live(minute(3, 1, true));
    bench.tick(START + 4 * MINUTE);
    bench.answer(&[minute(1, 1, true)]);
    assert_eq!(bars(&bench), [(0, 1), (1, 1)]);
    bench.tick(START + 4 * MINUTE + 5 * SECOND);
    bench.answer(&[minute(1, 1, true), minute(3, 1, true)]);
    assert_eq!(bars(&bench), [(0, 1), (1, 1), (-1, 1), (3, 1)]);
}

#[test]
fn a_held_bar_waits_for_what_a_disruption_may_hide() {
    let mut bench = candles(false, false);
    bench.live(minute(0, 1, false));
    bench.disrupted();
    bench.live(minute(2, 7, false));
    bench.tick(START + 3 * MINUTE + 6 * SECOND);
    assert_eq!(bars(&bench), []);
    bench.answer(&[minute(0, 2, true), minute(1, 4, true), minute(2, 7, true)]);
    assert_eq!(bars(&bench), [(0, 2), (1, 4), (2, 7)]);
}

#[test]
fn a_second_disruption_hides_bars_behind_those_that_wait() {
    let mut bench = candles(false, false);
    bench.live(minute(0, 1, false));
    bench.disrupted();
    bench.live(minute(2, 1, false));
    bench.live(minute(3, 1, false));
    bench.disrupted();
    bench.live(minute(5, 1, false));
    bench.tick(START + 5 * MINUTE);
    let all: Vec<_> = (0..6).map(|number| minute(number, 1, number < 5)).collect();
    bench.answer(&all);
    assert_eq!(bars(&bench), (0..5).map(|number| (number, 1)).collect::<Vec<_>>());
}

#[test]
fn a_revision_of_a_bar_that_is_forgotten_is_not_told() {
    let mut bench = candles(true, false);
    (0..70).for_each(|number| bench.live(minute(number, 1, true)));
    bench.live(minute(0, 2, true));
    bench.live(minute(69, 2, true));
    assert_eq!(bench.events.len(), 71);
}

#[test]
fn polled_bars_are_asked_for_when_they_are_over() {
    let mut bench = candles(false, true);
    bench.tick(START + 5 * SECOND);
    bench.tick(START + MINUTE + 4 * SECOND);
    assert_eq!(bench.asks, 0);
    bench.tick(START + MINUTE + 5 * SECOND);
    bench.answer(&[minute(0, 3, true), minute(1, 1, false)]);
    assert_eq!(bars(&bench), [(0, 3)]);
    (66..120).for_each(|second| bench.tick(START + second * SECOND));
    assert_eq!(bench.asks, 1);
}

#[test]
fn weeks_begin_where_the_venue_has_them() {
    const DAY: i64 = 86_400 * SECOND;
    // A Thursday.
    let week = |number: i64, trades, closed| bar(Timeframe::W1, (2800 + number) * 7 * DAY, trades, closed);
    let channel = Channel::Candles(Timeframe::W1);
    let since = week(0, 0, true).timestamp.nanos() - DAY;
    let mut bench = Bench::new(channel, true, rules(Order::Strict, 100, (false, false)), Some(since));
    // On the Monday after, the week is not over.
    bench.tick(week(1, 0, true).timestamp.nanos() + 5 * DAY);
    bench.answer(&[week(0, 4, true), week(1, 2, false)]);
    assert_eq!(bench.events.len(), 1);
    bench.tick(week(2, 0, true).timestamp.nanos() + DAY);
    bench.answer(&[week(1, 9, true), week(2, 2, false)]);
    assert_eq!(bench.events.len(), 2);
}
