//! The report in a real browser. `cargo test` leaves this out, since it needs Chromium and its driver
//! (Debian: `chromium chromium-driver`); `cargo test --test browser` runs it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../it/support/mod.rs"]
mod support;
mod webdriver;

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drivejob::sim::{Change, Flag, Options, Simulator, World};
use serde_json::{Value, json};

use support::{Bench, Face};
use webdriver::{Browser, TRAP, key};

/// Names that run a script, or ask for something from [`TRAP`], wherever one of them becomes markup. A name holds no slash, and
/// browsers take a backslash for one.
const HOSTILE: [&str; 8] = [
    "<img src=x onerror=hit()>",
    "<svg onload=hit()>.txt",
    r"<img src=http:\\drivejob.invalid\seen>.png",
    r"<style>body{background:url(http:\\drivejob.invalid\seen)}.css",
    "\"><b onmouseover=hit() style=position:fixed;inset:0>.txt",
    "';hit();'.txt",
    "javascript:hit().txt",
    "{{hit()}}${hit()}.txt",
];

/// An archive with two nights of a drive full of hostile names, and its page.
struct Shown {
    bench: Bench,
    /// Keeps the drive that the archive was made of.
    _simulator: Simulator,
}

impl Shown {
    async fn new() -> Shown {
        let simulator = Simulator::start(World::demo(), Options::default()).await.unwrap();
        let add = |path: String, size: u64| Change::AddFile {
            drive: "me".into(),
            path,
            size,
            seed: 1,
            modified: None,
        };
        let mut changes: Vec<Change> = (0..40)
            .map(|number| {
                add(
                    format!("/営業/{}年/見積書 {number:02}.xlsx", 2020 + number % 4),
                    1_000_000 * (number + 1),
                )
            })
            .collect();
        changes.push(add("/보고서/분기/결산 보고서.pptx".into(), 90_000_000));
        for (number, name) in HOSTILE.iter().enumerate() {
            changes.push(add(format!("/{name}"), 700_000_000 + number as u64));
            changes.push(add(format!("/in {name}/{name}"), 500_000_000));
        }
        // The slash between two names ends the element that holds the page's data.
        changes.push(add("/x</script><svg onload=hit()>/y".into(), 600_000_000));
        changes.push(add("/x<!--/-->/<".repeat(3), 600_000_000));
        changes.push(add(format!("/{}", "長い名前".repeat(40)), 800_000_000));
        for (path, flag) in [
            ("/営業/2020年/見積書 00.xlsx", Flag::Malware),
            ("/営業/2021年/見積書 01.xlsx", Flag::Locked),
        ] {
            changes.push(Change::Flag {
                drive: "me".into(),
                path: path.into(),
                flag,
                on: true,
            });
        }
        for change in &changes {
            simulator
                .change(change)
                .unwrap_or_else(|error| panic!("{change:?}: {error}"));
        }
        let bench = Bench::new(&simulator, Face::V2)
            .key("kind", "\"audit\"")
            .key("report", "true")
            .key("time-zone", "\"Asia/Tokyo\"");
        bench.run().await.unwrap();
        simulator.change(&add("/new.txt".into(), 5)).unwrap();
        bench.run_next_night().await.unwrap();
        Shown {
            bench,
            _simulator: simulator,
        }
    }

    /// The page in a language, made by the program.
    fn page(&self, language: &str) -> PathBuf {
        let name = format!("{language}.html");
        let output = self
            .bench
            .program()
            .args(["report", "archive", "--lang", language, "--out", &name])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        self.bench.folder().join(name)
    }
}

/// Fails when anything of the page ran, asked for something, or was complained of.
async fn assert_quiet(browser: &Browser) {
    assert_eq!(browser.run("return typeof window.hit").await, json!("undefined"));
    let loaded = "return performance.getEntriesByType('resource').map(entry => entry.name)";
    assert_eq!(browser.run(loaded).await, json!([]));
    let markup = "return [...document.querySelectorAll('img,iframe,object,embed,b,link[rel=stylesheet],[onload],[onerror],[onmouseover]')].length";
    assert_eq!(browser.run(markup).await, json!(0));
    assert_eq!(browser.run("return document.scripts.length").await, json!(2));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let elsewhere: Vec<String> = browser
        .requests()
        .await
        .into_iter()
        .filter(|address| {
            !(address.starts_with("data:") || address.starts_with("file:") && address.ends_with(".html"))
        })
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
    let visitors = browser.visitors();
    assert_eq!(visitors, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_run_nothing_and_nothing_goes_over_the_network() {
    let shown = Shown::new().await;
    let browser = Browser::start().await;
    browser.open(&shown.page("en")).await;
    let text = browser.run("return document.body.textContent").await;
    for name in HOSTILE {
        assert!(text.as_str().unwrap().contains(name), "{name} is not shown");
    }
    assert_quiet(&browser).await;
    // Every area of the map is looked into, since its names are written by the script.
    let areas = "return document.querySelectorAll('#map .cell.open').length";
    let count = browser.run(areas).await.as_u64().unwrap();
    assert!(count > 0);
    for number in 0..count {
        let script = "document.querySelectorAll('#map .cell.open')[arguments[0]].dispatchEvent(new MouseEvent('click'));\
                      const areas = document.querySelectorAll('#map .cell').length;\
                      document.querySelector('#map ol button').click();\
                      return areas";
        assert!(browser.run_with(script, json!([number])).await.as_u64().unwrap() > 0);
    }
    assert_quiet(&browser).await;

    // Were a name to become markup after all, the page's policy would not let it run.
    let blocked = browser
        .run_until_done(
            "const done = arguments[arguments.length - 1];\
             const found = [];\
             window.tried = 0;\
             document.addEventListener('securitypolicyviolation', event => {\
               found.push(event.effectiveDirective);\
               if (found.length === 2) done(found.sort());\
             });\
             document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.tried=1\">');\
             const script = document.createElement('script');\
             script.textContent = 'window.tried=1';\
             document.body.append(script);",
        )
        .await;
    assert_eq!(blocked.as_array().unwrap().len(), 2, "{blocked}");
    assert_eq!(browser.run("return window.tried").await, json!(0));
    assert_eq!(browser.visitors(), Vec::<String>::new());

    // The proxy would have seen it.
    let _ = browser.go(&format!("http://{TRAP}/")).await;
    assert!(!browser.visitors().is_empty());
}

/// The names from the top to the folder that the map shows.
async fn trail(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('#map li bdi')].map(name => name.textContent)";
    serde_json::from_value(browser.run(script).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_opens_folders_by_mouse_and_by_keyboard() {
    let shown = Shown::new().await;
    let browser = Browser::start().await;
    browser.open(&shown.page("en")).await;
    assert_eq!(trail(&browser).await, ["All drives"]);
    // The areas tell sizes: the sum of what is shown is the whole.
    let fills = "const svg = document.querySelector('#map svg').viewBox.baseVal;\
                 let sum = 0;\
                 for (const face of document.querySelectorAll('#map rect.face')) sum += face.width.baseVal.value * face.height.baseVal.value;\
                 return Math.abs(sum / (svg.width * svg.height) - 1) < 0.001";
    assert_eq!(browser.run(fills).await, json!(true));

    browser
        .click(&browser.find("#map .cell.open rect.face").await)
        .await;
    let drive = trail(&browser).await;
    assert_eq!(drive.len(), 2, "{drive:?}");
    assert_eq!(browser.run(fills).await, json!(true));
    // By keyboard into a folder: its label says what it is, and the focus goes along.
    let focus = "for (const cell of document.querySelectorAll('#map .cell.open'))\
                   if (cell.getAttribute('aria-label').startsWith('営業')) { cell.focus(); return cell.getAttribute('aria-label') }";
    let label = browser.run(focus).await;
    assert!(label.as_str().unwrap().ends_with("40 files"), "{label}");
    browser.press(key::ENTER).await;
    assert_eq!(trail(&browser).await[2], "営業");
    let years = "return [...document.querySelectorAll('#map .cell')].map(cell => cell.getAttribute('aria-label').split(',')[0]).sort()";
    assert_eq!(
        browser.run(years).await,
        json!(["2020年", "2021年", "2022年", "2023年"])
    );
    assert_eq!(
        browser
            .run("return document.activeElement.classList.contains('cell')")
            .await,
        json!(true)
    );
    browser.press(key::ESCAPE).await;
    assert_eq!(trail(&browser).await, drive);
    let focused = "return document.activeElement.getAttribute('aria-label').split(',')[0]";
    assert_eq!(browser.run(focused).await, json!("営業"));
    browser.click(&browser.find("#map li button").await).await;
    assert_eq!(trail(&browser).await, ["All drives"]);
    assert_quiet(&browser).await;
}

/// The visible rows of the table in a section: a cell of each, or its figure.
async fn column(browser: &Browser, section: &str, column: usize) -> Vec<Value> {
    let script = "const [section, column] = arguments;\
                  const rows = [...document.querySelector(section + ' tbody').rows].filter(row => !row.hidden);\
                  return rows.map(row => row.cells[column].dataset.v === undefined ? row.cells[column].textContent : Number(row.cells[column].dataset.v))";
    let found = browser.run_with(script, json!([section, column])).await;
    found.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_sort_and_search_by_mouse_and_by_keyboard() {
    let shown = Shown::new().await;
    let browser = Browser::start().await;
    browser.open(&shown.page("ja")).await;
    let sizes = |values: Vec<Value>| -> Vec<u64> {
        values
            .iter()
            .map(|value| value.as_f64().unwrap() as u64)
            .collect()
    };
    let as_written = sizes(column(&browser, "#largest", 1).await);
    assert!(as_written.len() > 50);
    let mut down = as_written.clone();
    down.sort_unstable_by(|left, right| right.cmp(left));
    assert_eq!(as_written, down);
    let head = browser.find("#largest thead th:nth-child(2) button").await;
    browser.click(&head).await;
    assert_eq!(
        sizes(column(&browser, "#largest", 1).await),
        down,
        "numbers begin with the largest"
    );
    browser.press(key::ENTER).await;
    let mut up = down.clone();
    up.reverse();
    assert_eq!(sizes(column(&browser, "#largest", 1).await), up);
    let told = "return document.querySelector('#largest thead th:nth-child(2)').getAttribute('aria-sort')";
    assert_eq!(browser.run(told).await, json!("ascending"));
    // Names sort as people count: 2 before 10.
    browser
        .click(&browser.find("#largest thead th:nth-child(1) button").await)
        .await;
    let names = column(&browser, "#largest", 0).await;
    let place = |ending: &str| {
        names
            .iter()
            .position(|name| name.as_str().unwrap().ends_with(ending))
            .unwrap()
    };
    assert!(place("2020年/見積書 04.xlsx") < place("2020年/見積書 12.xlsx"));

    // Full-width letters find their twins, and letters of either case.
    let field = browser.find("#largest .search input").await;
    browser.write(&field, "見積書　３").await;
    let found = column(&browser, "#largest", 0).await;
    assert_eq!(found.len(), 10, "{found:?}");
    assert!(
        found
            .iter()
            .all(|name| name.as_str().unwrap().contains("見積書 3"))
    );
    let count = "return document.querySelector('#largest .search output').textContent";
    let all = as_written.len();
    assert_eq!(browser.run(count).await, json!(format!("{all} 行中 10 行")));
    browser.clear(&field).await;
    browser.write(&field, "ONERROR=").await;
    assert!(!column(&browser, "#largest", 0).await.is_empty());
    browser.clear(&field).await;
    browser.write(&field, "no such name").await;
    assert!(column(&browser, "#largest", 0).await.is_empty());

    // From the field, the keyboard goes on to the table and its heads.
    browser.press(key::TAB).await;
    browser.press(key::TAB).await;
    assert_eq!(
        browser
            .run("return document.activeElement.closest('th') !== null")
            .await,
        json!(true)
    );
    assert_quiet(&browser).await;
}

/// Texts whose contrast with what is behind them is too low to read (WCAG 2.2, 1.4.3: 4.5, or 3 where the text is large).
const FAINT: &str = "
    const channel = value => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4 };
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
    const behind = element => {
        for (let here = element; here; here = here.parentElement) {
            const colour = parse(getComputedStyle(here).backgroundColor);
            if (colour.length < 4 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const faint = [];
    for (const element of document.querySelectorAll('h1,h2,h3,p,li,a,dt,dd,td,th,th button,label,input,output,figcaption,.badge,footer,text')) {
        if (!element.textContent.trim() || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        let ink, back;
        if (element.tagName === 'text') {
            const face = element.parentElement.querySelector('rect.face');
            ink = parse(style.fill);
            back = face ? parse(getComputedStyle(face).fill) : behind(element);
        } else {
            ink = parse(style.color);
            back = behind(element);
        }
        const [more, less] = [light(ink), light(back)].sort((left, right) => right - left);
        const ratio = (more + 0.05) / (less + 0.05);
        if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.push(element.tagName + ' ' + ratio.toFixed(2) + ' ' + element.textContent.slice(0, 40));
    }
    return [...new Set(faint)]";

/// What stands out of the page to the right, or of its own box.
const WIDE: &str = "
    const wide = [];
    if (document.documentElement.scrollWidth > innerWidth) wide.push('page ' + document.documentElement.scrollWidth);
    for (const element of document.querySelectorAll('section,.tile,h1,h2,figure,#map,.search,nav')) {
        const box = element.getBoundingClientRect();
        if (box.right > innerWidth + 1) wide.push(element.tagName + ' ' + element.id + ' ' + box.right);
    }
    return wide";

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_read_in_each_language_by_day_and_night_on_a_desk_a_phone_and_paper() {
    let shown = Shown::new().await;
    let browser = Browser::start().await;
    let pictures = std::env::var_os("DRIVEJOB_PICTURES").map(PathBuf::from);
    for (language, heading) in [
        ("en", "Size by folder"),
        ("ja", "フォルダ別の容量"),
        ("ko", "폴더별 용량"),
    ] {
        browser.open(&shown.page(language)).await;
        assert_eq!(
            browser.run("return document.documentElement.lang").await,
            json!(language)
        );
        assert_eq!(
            browser
                .run("return document.querySelector('#sizes h2').textContent")
                .await,
            json!(heading)
        );
        let mut backgrounds = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer("", scheme).await;
            for (width, height) in [(1280, 900), (390, 844)] {
                browser.resize(width, height).await;
                let place = format!("{language} {scheme} {width}");
                assert_eq!(browser.run(FAINT).await, json!([]), "{place}");
                assert_eq!(browser.run(WIDE).await, json!([]), "{place}");
                if let Some(folder) = &pictures {
                    let bytes = STANDARD.decode(browser.picture().await).unwrap();
                    fs::write(folder.join(format!("{language}-{scheme}-{width}.png")), bytes).unwrap();
                }
            }
            backgrounds.push(
                browser
                    .run("return getComputedStyle(document.body).backgroundColor")
                    .await,
            );
        }
        assert_ne!(backgrounds[0], backgrounds[1], "{language}");
        browser.prefer("print", "dark").await;
        let seen = "return ['.search', 'nav.toc'].map(name => document.querySelector(name).checkVisibility())\
                    .concat([...document.querySelectorAll('.scroll')].map(box => box.scrollHeight > box.clientHeight + 1))\
                    .concat(getComputedStyle(document.body).backgroundColor !== 'rgb(255, 255, 255)')\
                    .filter(Boolean)";
        assert_eq!(
            browser.run(seen).await,
            json!([]),
            "{language}: on paper there is no searching and no scrolling"
        );
        let paper = STANDARD.decode(browser.print().await).unwrap();
        assert!(paper.starts_with(b"%PDF"));
        if let Some(folder) = &pictures {
            fs::write(folder.join(format!("{language}.pdf")), paper).unwrap();
        }
        assert_quiet(&browser).await;
    }
}
