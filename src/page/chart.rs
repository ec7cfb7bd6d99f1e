//! A line over the snapshots, as inline SVG with its words.

use super::Night;
use super::figures::short_day;
use super::html::Html;
use super::words::{Texts, fill};
use jiff::tz::TimeZone;

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 150.0;
/// Where the line may be: below the greatest figure's label, above the days.
const TOP: f64 = 24.0;
const BOTTOM: f64 = 126.0;
const LEFT: f64 = 6.0;
const RIGHT: f64 = 314.0;

/// Snapshots with a dot each; with more, a line says more.
const DOTS: usize = 60;

/// Snapshots on a chart at most: the newest.
pub(super) const NIGHTS: usize = 400;

/// One figure of each night.
#[derive(Clone, Copy)]
pub(super) struct Curve {
    /// What it is.
    pub(super) title: &'static str,
    /// The figure.
    pub(super) value: fn(&Night) -> f64,
    /// The figure for people.
    pub(super) print: fn(f64) -> String,
    /// A height that is drawn as a line.
    pub(super) limit: Option<f64>,
}

/// Draws a curve over the nights.
pub(super) fn chart(html: &mut Html, texts: &Texts, zone: &TimeZone, nights: &[Night], curve: &Curve) {
    let Curve {
        title,
        value,
        print,
        limit,
    } = *curve;
    let (Some(first), Some(last)) = (nights.first(), nights.last()) else {
        return;
    };
    let values: Vec<f64> = nights.iter().map(value).collect();
    let greatest = values.iter().copied().fold(0.0, f64::max);
    let scale = greatest.max(limit.unwrap_or(0.0)).max(f64::MIN_POSITIVE);
    let end = |found: Option<&f64>| print(found.copied().unwrap_or(0.0));
    let words = fill(
        texts.chart,
        &[title, &end(values.first()), &end(values.last()), &print(greatest)],
    );
    let step = (RIGHT - LEFT) / (values.len().saturating_sub(1).max(1)) as f64;
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(place, value)| {
            let across = if values.len() == 1 {
                (LEFT + RIGHT) / 2.0
            } else {
                LEFT + step * place as f64
            };
            (across, BOTTOM - value / scale * (BOTTOM - TOP))
        })
        .collect();
    let line: String = points.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
    html.raw("<figure><figcaption>")
        .text(title)
        .raw("</figcaption><svg class=\"chart\" role=\"img\"");
    html.attribute("viewBox", format_args!("0 0 {WIDTH} {HEIGHT}"))
        .attribute("aria-label", words)
        .raw("><line class=\"axis\"");
    line_between(html, (LEFT, BOTTOM), (RIGHT, BOTTOM));
    if let (Some((start, _)), Some((stop, _))) = (points.first(), points.last()) {
        html.raw("<polygon class=\"area\"")
            .attribute(
                "points",
                format_args!("{start:.1},{BOTTOM} {line}{stop:.1},{BOTTOM}"),
            )
            .raw("/><polyline class=\"line\"")
            .attribute("points", line.trim_end())
            .raw("/>");
    }
    if let Some(limit) = limit {
        let height = BOTTOM - limit / scale * (BOTTOM - TOP);
        html.raw("<line class=\"limit\"");
        line_between(html, (LEFT, height), (RIGHT, height));
    }
    if points.len() <= DOTS {
        for ((x, y), night) in points.iter().zip(nights) {
            html.raw(if night.status == "complete" {
                "<circle class=\"dot\" r=\"2.6\""
            } else {
                "<circle class=\"dot hollow\" r=\"3.4\""
            })
            .attribute("cx", format_args!("{x:.1}"))
            .attribute("cy", format_args!("{y:.1}"))
            .raw("/>");
        }
    }
    label(html, (LEFT, 14.0), "start", &print(scale.max(greatest)));
    label(html, (LEFT, 143.0), "start", &short_day(first.time, zone));
    if nights.len() > 1 {
        label(html, (RIGHT, 143.0), "end", &short_day(last.time, zone));
    }
    html.raw("</svg></figure>\n");
}

fn line_between(html: &mut Html, from: (f64, f64), to: (f64, f64)) {
    html.attribute("x1", format_args!("{:.1}", from.0))
        .attribute("y1", format_args!("{:.1}", from.1))
        .attribute("x2", format_args!("{:.1}", to.0))
        .attribute("y2", format_args!("{:.1}", to.1))
        .raw("/>");
}

fn label(html: &mut Html, place: (f64, f64), anchor: &'static str, text: &str) {
    html.raw("<text")
        .attribute("x", place.0)
        .attribute("y", place.1)
        .attribute("text-anchor", anchor)
        .raw(">")
        .text(text)
        .raw("</text>");
}
