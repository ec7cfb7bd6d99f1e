//! Names for worlds made from nothing: pretty ones for the demonstration, hostile ones for tests.

/// The demonstration's entries: drive (0 to 2 = members' My Drives, 3 = shared drive, 4 = group folder), path, bytes of a file.
pub(super) fn demo_entries() -> Vec<(usize, String, Option<u64>)> {
    let fixed: &[(usize, &str, Option<u64>)] = &[
        (0, "/契約書/機密保持契約.pdf", Some(184_320)),
        (0, "/契約書/業務委託契約_2024.docx", Some(45_210)),
        (0, "/契約書/旧版/機密保持契約_v1.pdf", Some(90_112)),
        (0, "/契約書/旧版/機密保持契約_v2.pdf", Some(91_004)),
        (0, "/見積書.xlsx", Some(33_120)),
        (0, "/議事録/2024-04-01 キックオフ.md", Some(2_410)),
        (0, "/議事録/2024-04-08 定例.md", Some(1_988)),
        (0, "/議事録/2024-04-15 定例.md", Some(2_204)),
        (0, "/写真/富士山.jpg", Some(1_204_221)),
        (0, "/写真/桜.png", Some(802_331)),
        (0, "/写真/動画/社員旅行.mp4", Some(3_145_728)),
        (0, "/共有資料/会社案内.pptx", Some(512_000)),
        (0, "/共有資料/ロゴ.zip", Some(77_777)),
        (0, "/共有資料/手順/インストール手順.txt", Some(1_024)),
        (0, "/空のフォルダー", None),
        (0, "/空のファイル.txt", Some(0)),
        (0, "/メモ.txt", Some(11)),
        (0, "/README.md", Some(640)),
        (0, "/readme.md", Some(641)),
        // The same word twice: composed, and as letters with combining marks.
        (0, "/\u{30d7}\u{30ed}\u{30b0}\u{30e9}\u{30e0}.txt", Some(300)),
        (
            0,
            "/\u{30d5}\u{309a}\u{30ed}\u{30af}\u{3099}\u{30e9}\u{30e0}.txt",
            Some(301),
        ),
        (0, "/CON.txt", Some(128)),
        (0, "/=集計.csv", Some(2_048)),
        (0, "/末尾のピリオド.", Some(64)),
        (0, "/絵文字 🎉 パーティー.txt", Some(99)),
        (1, "/보고서/월간 보고서.docx", Some(61_440)),
        (1, "/보고서/주간 보고서.docx", Some(20_480)),
        (1, "/보고서/첨부/표.xlsx", Some(15_360)),
        (1, "/사진/서울.jpg", Some(900_000)),
        (1, "/사진/부산.jpg", Some(870_000)),
        (1, "/빈 폴더", None),
        (1, "/\u{d55c}\u{ae00}.txt", Some(45)),
        (
            1,
            "/\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}.txt",
            Some(46),
        ),
        (1, "/회의록.txt", Some(700)),
        (2, "/下書き.txt", Some(350)),
        (2, "/経費/4月.csv", Some(1_800)),
        (2, "/経費/5月.csv", Some(1_750)),
        (3, "/計画/スケジュール.xlsx", Some(25_600)),
        (3, "/計画/予算.xlsx", Some(30_720)),
        (3, "/設計/基本設計.docx", Some(122_880)),
        (3, "/設計/図/構成図.png", Some(204_800)),
        (3, "/設計/図/画面遷移.png", Some(153_600)),
        (3, "/納品/v1.0.zip", Some(2_097_152)),
        (3, "/納品/空", None),
        (4, "/고객/고객 명단.csv", Some(8_192)),
        (4, "/고객/계약/2024.pdf", Some(65_536)),
        (4, "/제안서.pptx", Some(409_600)),
    ];
    let mut entries: Vec<_> = fixed
        .iter()
        .map(|(drive, path, size)| (*drive, (*path).to_owned(), *size))
        .collect();
    // 200 characters, the longest the service allows, of three bytes each.
    let long: String = "とても長い名前".chars().cycle().take(200).collect();
    entries.push((0, format!("/{long}"), Some(256)));
    entries
}

/// The `number`th of an endless list of names that some program stumbles over. None holds a slash or a NUL.
pub(super) fn hostile_name(number: u64, folder: bool) -> String {
    const KINDS: u64 = 26;
    let round = number / KINDS;
    let end = if folder { "" } else { ".txt" };
    // The number keeps the names of later rounds apart; in the first round they are bare.
    let mark = if round == 0 {
        String::new()
    } else {
        format!("~{round}")
    };
    match number % KINDS {
        0 => format!("CON{mark}{end}"),
        1 => format!("nul{mark}"),
        2 => format!("Com1{mark}{end}"),
        3 => format!("trailing dot{mark}."),
        4 => format!("trailing blank{mark} "),
        5 => format!(" leading blank{mark}{end}"),
        6 => format!("=HYPERLINK(\"x\"){mark}{end}"),
        7 => format!("-rf{mark}"),
        8 => format!("a:b*c?d\"e<f>g|h{mark}{end}"),
        9 => format!("back\\slash{mark}{end}"),
        10 => format!("line\nbreak{mark}{end}"),
        11 => format!("tab\tand\u{1}control\u{7f}{mark}{end}"),
        12 => {
            let tail = format!("{mark}{end}");
            let room = 200 - tail.chars().count();
            format!(
                "{}{tail}",
                "漢字仮名混".chars().cycle().take(room).collect::<String>()
            )
        }
        13 => format!("\u{30ac}{mark}{end}"),
        14 => format!("\u{30ab}\u{3099}{mark}{end}"),
        15 => format!("Case{mark}{end}"),
        16 => format!("case{mark}{end}"),
        17 => format!("CASE{mark}{end}"),
        18 => format!("rtl\u{202e}txt{mark}{end}"),
        19 => format!("zero\u{200b}width{mark}{end}"),
        20 => format!("👨‍👩‍👧‍👦 가족{mark}{end}"),
        21 => format!("comma, \"quote\"; 'single'{mark}{end}"),
        22 => format!("%2e%2e%2f{mark}{end}"),
        23 => format!("..{mark}"),
        24 => format!(".{mark}"),
        _ => format!("~$lock#1&x=1+2{mark}{end}"),
    }
}

/// The kind of a file by the ending of its name, as API 2.0 names it.
pub(super) fn file_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is = |endings: &[&str]| endings.iter().any(|known| known.eq_ignore_ascii_case(ending));
    if is(&[
        "jpg", "jpeg", "png", "gif", "bmp", "heic", "svg", "webp", "tif", "tiff",
    ]) {
        "IMAGE"
    } else if is(&[
        "txt", "md", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "pdf", "csv", "hwp", "rtf", "odt",
    ]) {
        "DOC"
    } else if is(&["mp4", "mov", "avi", "mkv", "wmv", "webm"]) {
        "VIDEO"
    } else if is(&["mp3", "wav", "m4a", "flac", "ogg", "aac"]) {
        "AUDIO"
    } else if is(&["zip", "7z", "rar", "gz", "tar", "alz", "egg"]) {
        "ZIP"
    } else if is(&["exe", "msi", "bat", "cmd", "com"]) {
        "EXE"
    } else {
        "ETC"
    }
}
