//! Families come out in Prometheus's text form.

use prometheus::TextEncoder;

use super::*;

#[test]
fn families_read_as_prometheus_expects() {
    let mut families = Families::default();
    families.gauge("level", "A level.", 1.5);
    families.counters("grown_total", "A count.", [(vec![("topic", "a\"b".to_owned())], 7.0)]);
    families.histogram("seconds", "Times.", (3, 0.25), &[(0.1, 2), (1.0, 3)]);
    families.gauges("nothing", "No series.", []);
    let text = TextEncoder::new().encode_to_string(&families.into_list()).unwrap();
    let expected = "# HELP level A level.\n# TYPE level gauge\nlevel 1.5\n\
                    # HELP grown_total A count.\n# TYPE grown_total counter\ngrown_total{topic=\"a\\\"b\"} 7\n\
                    # HELP seconds Times.\n# TYPE seconds histogram\n\
                    seconds_bucket{le=\"0.1\"} 2\nseconds_bucket{le=\"1\"} 3\nseconds_bucket{le=\"+Inf\"} 3\n\
                    seconds_sum 0.25\nseconds_count 3\n";
    assert_eq!(text, expected);
}
