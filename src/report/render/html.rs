//! One HTML file that loads nothing: the style and the map of the built-in page, and tables instead of its script.

use std::fmt::Write as _;

use super::{
    map::{legend, map},
    numbers::{count, minute},
    sections::{Section, TITLE, facts, sections, timeline_title},
};
use crate::{
    report::Report,
    web::assets::{STYLE, escape},
};

/// The head, up to the style. The policy forbids scripts and all requests.
const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<link rel=\"icon\" href=\"data:,\">
";

const FOOT: &str = "<footer>
<p><a href=\"https://db-ip.com\">IP Geolocation by DB-IP</a></p>
<p><a href=\"https://www.naturalearthdata.com\">Made with Natural Earth</a> · nflog_exporter</p>
</footer>
</body>
</html>
";

// Writing to a String never fails, so the results of `write!` are ignored.
pub(super) fn render(report: &Report) -> String {
    let mut html = String::from(HEAD);
    let _ = writeln!(
        html,
        "<title>{TITLE}</title>\n<style>\n{}{}</style>\n</head>",
        STYLE.text(),
        include_str!("report.css")
    );
    let _ = writeln!(
        html,
        "<body class=\"report\">\n<header>\n<h1>{TITLE}</h1>\n<dl class=\"figures\">"
    );
    for (name, value) in facts(report) {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    html.push_str("</dl>\n</header>\n");
    push_timeline(&mut html, report);
    html.push_str("<main>\n");
    push_map(&mut html, report);
    // Tables with bars are next to each other, the others below.
    for group in sections(report).chunk_by(|one, other| one.has_bars() && other.has_bars()) {
        let is_lists = group[0].has_bars();
        html.push_str(if is_lists { "<div class=\"lists\">\n" } else { "" });
        for section in group {
            push_section(&mut html, section);
        }
        html.push_str(if is_lists { "</div>\n" } else { "" });
    }
    html.push_str("</main>\n");
    if !report.notes.is_empty() {
        html.push_str("<ul class=\"notes\">\n");
        for note in &report.notes {
            let _ = writeln!(html, "<li>{}</li>", escape(note));
        }
        html.push_str("</ul>\n");
    }
    html.push_str(FOOT);
    html
}

/// A bar for each slot of time, with a tooltip.
fn push_timeline(html: &mut String, report: &Report) {
    let timeline = &report.timeline;
    if timeline.packets.is_empty() {
        return;
    }
    let title = timeline_title(report);
    let (start, end) = (minute(&timeline.start), minute(&timeline.end));
    let _ = writeln!(
        html,
        "<figure class=\"timeline\">\n<figcaption><span>{title}</span><span>{start} to {end} UTC</span></figcaption>"
    );
    let width = 10 * timeline.packets.len();
    let _ = writeln!(
        html,
        "<svg viewBox=\"0 0 {width} 60\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title}\">"
    );
    let most = timeline.packets.iter().copied().max().unwrap_or(0).max(1);
    for (slot, &packets) in timeline.packets.iter().enumerate() {
        // In tenths, so that a slot with few packets is visible.
        let height = (u128::from(packets) * 600)
            .div_ceil(u128::from(most))
            .max(u128::from(packets > 0) * 10);
        let (whole, tenth) = (height / 10, height % 10);
        let top = 600 - height;
        let _ = writeln!(
            html,
            "<rect x=\"{}\" y=\"{}.{}\" width=\"9\" height=\"{whole}.{tenth}\"><title>{}</title></rect>",
            10 * slot,
            top / 10,
            top % 10,
            count(packets)
        );
    }
    html.push_str("</svg>\n</figure>\n");
}

fn push_map(html: &mut String, report: &Report) {
    let elsewhere: Vec<_> = report
        .map
        .iter()
        .filter_map(|(code, packets)| {
            let name = match *code {
                "private" => "private addresses",
                "unknown" => "unknown to the database",
                _ => return None,
            };
            Some(format!("{name} {}", count(*packets)))
        })
        .collect();
    let _ = writeln!(
        html,
        "<section id=\"map-panel\">\n<div class=\"panel-head\">\n<h2>Where packets come from</h2>\n{}</div>\n<div \
         id=\"map\">\n{}</div>",
        legend(&report.map),
        map(&report.map)
    );
    if !elsewhere.is_empty() {
        let _ = writeln!(html, "<p id=\"elsewhere\">Not on the map: {}</p>", elsewhere.join(" · "));
    }
    html.push_str("</section>\n");
}

fn push_section(html: &mut String, section: &Section) {
    let title = escape(&section.title);
    let wide = if section.has_bars() { "" } else { " wide" };
    let _ = writeln!(
        html,
        // In a narrow window every table can scroll, so the keyboard must reach it.
        "<section class=\"panel{wide}\">\n<h2>{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n<table>\n<thead><tr>"
    );
    let classes =
        section.columns.iter().map(|it| if it.is_number { " class=\"number\"" } else { "" });
    let classes: Vec<_> = classes.collect();
    for (column, class) in section.columns.iter().zip(&classes) {
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", column.name);
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let most = section.rows.iter().filter_map(|row| row.packets).max().unwrap_or(0).max(1);
    for row in &section.rows {
        match row.packets {
            Some(packets) => {
                let share = u128::from(packets) * 1000 / u128::from(most);
                let _ = write!(html, "<tr style=\"--share:{}.{}%\">", share / 10, share % 10);
            }
            None => html.push_str("<tr>"),
        }
        for (position, (cell, class)) in row.cells.iter().zip(&classes).enumerate() {
            let cell = escape(cell);
            let _ = match position {
                0 => write!(html, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => write!(html, "<td{class}>{cell}</td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    if !section.more.is_empty() {
        let _ = writeln!(html, "<p class=\"more\">{}</p>", section.more);
    }
    html.push_str("</section>\n");
}
