use super::*;

fn found(name: &str, values: &[f64]) -> Findings {
    let mut findings = Findings { name: name.to_owned(), ..Findings::default() };
    values.iter().for_each(|value| findings.add(Figure::LeaderKilled, *value));
    findings
}

#[test]
fn the_middle_of_an_even_number_lies_between_two() {
    let spread = |values: &[f64]| Spread::of(values);
    assert_eq!(spread(&[]), None);
    assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
    assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { min: 1.0, median: 3.0, max: 9.0 }));
}

#[test]
fn an_aim_is_missed_by_a_larger_median_only() {
    let kafka = found("Kafka", &[10.0, 20.0, 30.0]);
    assert!(missed(&found("ours", &[5.0, 20.0, 90.0]), &kafka).is_empty());
    assert_eq!(missed(&found("ours", &[21.0, 22.0, 1.0]), &kafka).len(), 1);
}

#[test]
fn every_figure_is_in_the_table_once() {
    let names: std::collections::BTreeSet<Figure> = FIGURES.iter().map(|(figure, _, _)| *figure).collect();
    assert_eq!(names.len(), FIGURES.len());
    let text = table(&[found("ours", &[1.0]), found("Kafka", &[2.0])]);
    assert!(text.contains("| 1.0 (1.0–1.0) | 2.0 (2.0–2.0) | 0.50 |"), "{text}");
    assert_eq!(text.lines().count(), 3, "what was not measured is left out");
}
