use super::*;

const NOW: TimestampMs = 1_784_884_353_120;

fn span(text: &str) -> Span {
    Span::parse(text, NOW).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_form_is_read() {
    let single = [
        ("start", Place::Start),
        ("end", Place::End),
        ("42", Place::At(42)),
        ("+10", Place::AfterStart(10)),
        ("-10", Place::BeforeEnd(10)),
        ("@-1h", Place::Time(NOW - 3_600_000)),
        ("@1784884353120", Place::Time(NOW)),
        ("@2026-07-24T09:12:33.120Z", Place::Time(NOW)),
    ];
    for (text, from) in single {
        assert_eq!(span(text), Span { from, to: None }, "{text}");
    }
    assert_eq!(span("5:9"), Span { from: Place::At(5), to: Some(Place::At(9)) });
    assert_eq!(span(":end"), Span { from: Place::Start, to: Some(Place::End) });
    assert_eq!(span("-5:end"), Span { from: Place::BeforeEnd(5), to: Some(Place::End) });
    let hour = Span { from: Place::Time(NOW - 7_200_000), to: Some(Place::Time(NOW - 3_600_000)) };
    assert_eq!(span("@-2h:-1h"), hour);
    let times = span("@2026-07-24T09:12:33.120Z:2026-07-24T10:12:33.120Z");
    assert_eq!(times, Span { from: Place::Time(NOW), to: Some(Place::Time(NOW + 3_600_000)) });
}

#[test]
fn what_is_no_place_is_refused_with_the_forms() {
    for text in ["", "x", "--1", "1:2:3", "@", "@x", "5:", "1.5"] {
        let error = Span::parse(text, NOW).expect_err(text);
        assert!(error.contains("start, end, N"), "{error}");
    }
}

#[test]
fn places_stay_inside_the_log() {
    let resolve = |place: Place| place.resolve(100, 200, Some(150));
    assert_eq!(resolve(Place::Start), 100);
    assert_eq!(resolve(Place::End), 200);
    assert_eq!(resolve(Place::AfterStart(7)), 107);
    assert_eq!(resolve(Place::AfterStart(700)), 200);
    assert_eq!(resolve(Place::BeforeEnd(7)), 193);
    assert_eq!(resolve(Place::BeforeEnd(700)), 100);
    assert_eq!(resolve(Place::Time(0)), 150);
    assert_eq!(Place::Time(0).resolve(100, 200, None), 200);
}
