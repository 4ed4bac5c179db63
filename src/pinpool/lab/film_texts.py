"""The words of the films, and how the pages of each language are encoded and labelled."""

from __future__ import annotations

from typing import NamedTuple


class PageEncoding(NamedTuple):
    """How text becomes bytes (`codec`, after `bom`), and what the header and the page itself say about it."""

    name: str
    codec: str
    header: str | None = None
    meta: str | None = None
    bom: bytes = b""


class Language(NamedTuple):
    """Words to make films of. In every other week of films the pages have this encoding, else `PLAIN`."""

    code: str
    encoding: PageEncoding
    first: tuple[str, ...]
    second: tuple[str, ...]
    people: tuple[str, ...]
    categories: tuple[str, ...]
    sentences: tuple[str, ...]


PLAIN = PageEncoding("utf-8 by header", "utf-8", header="utf-8")


def _language(
    code: str, encoding: PageEncoding, first: str, second: str, people: str, categories: str, *sentences: str
) -> Language:
    lists = [tuple(words.split(" | ")) for words in (first, second, people, categories)]
    return Language(code, encoding, lists[0], lists[1], lists[2], lists[3], sentences)


LANGUAGES = (
    _language(
        "fr",
        # Browsers read iso-8859-1 as cp1252, and sites rely on it: here the quotes, the dash, œ and €.
        PageEncoding("cp1252 labelled iso-8859-1", "cp1252", header="iso-8859-1"),
        "L’œil | Été | Le château | Dupont & fils | Ça | La forêt | Un cœur | El niño | Über",
        "d’hiver | à Besançon | oublié | – la suite | <sans titre> | à 3 € | de l’île | mañana | “perdu”",
        "Agnès Varda | François Truffaut | Céline Sciamma | Jürgen Böttcher | Pedro Almodóvar | João O’Neill",
        "comédie | drame | à suspense | épopée",
        "Le film raconte l’histoire d’un homme qui n’a jamais quitté son île.",
        "« Une œuvre rare », écrivait déjà la presse de l’époque, non sans ironie.",
        "L’été suivant, tout le monde à Besançon en parlait encore.",
        "La musique, à elle seule, mérite le détour – et le prix du billet, 12 €.",
    ),
    _language(
        "el",
        PageEncoding("utf-8 by meta only", "utf-8", meta='<meta charset="utf-8">'),
        "Η θάλασσα | Το φως | Ο δρόμος | Τα νησιά | Η σιωπή | Το τρένο | Οι φίλοι",
        "του χειμώνα | στην Αθήνα | χωρίς όνομα | και η νύχτα | της μνήμης | που χάθηκε",
        "Θόδωρος Αγγελόπουλος | Γιώργος Λάνθιμος | Παντελής Βούλγαρης | Αθηνά Τσαγγάρη | Κώστας Γαβράς",
        "δράμα | κωμωδία | περιπέτεια",
        "Η ταινία ακολουθεί μια οικογένεια που ταξιδεύει προς τον νότο.",
        "Κανείς δεν περίμενε ότι το τέλος θα ήταν τόσο ήσυχο.",
        "Οι ηθοποιοί παίζουν με μέτρο και η μουσική λέει τα υπόλοιπα.",
    ),
    _language(
        "ru",
        PageEncoding("windows-1251 by header", "cp1251", header="windows-1251"),
        "Белая | Старая | Последняя | Тихая | Чужая | Зимняя | Ёлка и",
        "ночь | дорога | река | песня «Заря» | весна | звезда | тень",
        "Андрей Тарковский | Кира Муратова | Алексей Герман | Лариса Шепитько | Элем Климов",
        "драма | комедия | фантастика",
        "Фильм рассказывает о людях, которые ждут поезда на маленькой станции.",
        "Критики спорили о нём целый год, а зрители просто шли в кино.",
        "Съёмки продолжались всю зиму, и в кадре действительно идёт снег.",
    ),
    _language(
        "zh",
        # The label names the older, smaller set; 喆, 堃 and 镕 are only in gbk.
        PageEncoding(
            "gbk labelled gb2312 by meta",
            "gbk",
            meta='<meta http-equiv="Content-Type" content="text/html; charset=gb2312">',
        ),
        "霸王 | 北京 | 春光 | 红色 | 无声 | 最后的 | 山河",
        "故事 | 夜晚 | 列车 | 别姬 | 往事 | 镕金 | 故人",
        "陈凯歌 | 张艺谋 | 许鞍华 | 陶喆 | 李堃 | 贾樟柯",
        "剧情 | 爱情 | 动作",
        "影片讲述了一个小城里三代人的故事。",
        "导演用很长的镜头拍下了冬天的河流和沉默的人们。",
        "观众离开影院的时候,谁也没有说话。",
    ),
    _language(
        "ja",
        PageEncoding("shift_jis by header", "shift_jis", header="Shift_JIS"),
        "東京の | 静かな | 最後の | 青い | 海辺の | ソフィーの | 表の",
        "物語 | 夏休み | 手紙 | 列車 | カメラ | 能面 | ポスター",
        "小津安二郎 | 黒澤明 | 是枝裕和 | 河瀬直美 | 溝口健二",
        "ドラマ | 時代劇 | アニメ",
        "この映画は、海辺の町で暮らす家族の一年を描いています。",
        "最後の場面は、多くの観客の記憶に残りました。",
        "音楽はほとんどなく、雨の音だけが聞こえます。",
    ),
    _language(
        "ko",
        PLAIN,
        "봄날의 | 마지막 | 서울의 | 조용한 | 하얀 | 그해",
        "편지 | 여름 | 기차 | 겨울밤 | 약속 | 바다",
        "봉준호 | 박찬욱 | 이창동 | 김보라 | 홍상수",
        "드라마 | 코미디 | 스릴러",
        "이 영화는 작은 마을에 사는 세 친구의 이야기입니다.",
        "감독은 겨울 바다를 배경으로 오래된 약속을 그렸습니다.",
        "관객들은 마지막 장면에서 모두 숨을 죽였습니다.",
    ),
    _language(
        "ar",
        PageEncoding("utf-16 by byte order mark", "utf-16-le", bom=b"\xff\xfe"),
        "باب | ليلة | طريق | حكاية | بيت | صوت",
        "الحديد | القاهرة | الصمت | البحر | المدينة | الشتاء",
        "يوسف شاهين | نادين لبكي | شادي عبد السلام | إيليا سليمان | مفيدة التلاتلي",
        "دراما | كوميديا | مغامرة",
        "يحكي الفيلم قصة عائلة تعيش قرب محطة القطار القديمة.",
        "لم يتوقع أحد أن تكون النهاية هادئة إلى هذا الحد.",
        "صورت المشاهد كلها في الشتاء، وكان المطر حقيقيا.",
    ),
)
