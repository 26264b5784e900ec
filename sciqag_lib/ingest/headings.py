"""Names that parts of papers have, in English, Portuguese, Spanish, French and German, and what each name says.

    find_abstract_language("Resumo")          "pt"
    find_keywords_language("Mots-clés")       "fr"
    find_boilerplate_kind("5. Danksagung")    "acknowledgements"
    SECTION_NAMES.fullmatch("Discussão")      a section of the paper

The whole heading must match: "Data analysis" is science. In the tables, names in other languages than English are
written without accents and match with and without them.
"""

import re
import unicodedata
from collections import Counter

from sciqag_lib.ingest.running_text.inline import clean_text

_ACCENTED = {"a": "aáàâãä", "e": "eéèêë", "i": "iíìîï", "o": "oóòôõö", "u": "uúùûü", "c": "cç", "n": "nñ"}
MAX_HEADING = 100  # characters: more is a paragraph, which a pattern ending in .* must not swallow


def _accept_accents(pattern: str) -> str:
    """A pattern whose letters match their accented forms too; sets like [ao] and escapes stay as they are."""
    return re.sub(
        r"\[[^\]]*\]|\\.|[aeioucn]",
        lambda match: f"[{_ACCENTED[match[0]]}]" if len(match[0]) == 1 else match[0],
        pattern,
    )


_ABSTRACT = {
    "en": r"(?:structured |extended |english )?abstract|(?:english )?summary",
    "pt": r"resumo(?: estruturado| expandido| em portugues)?|sumario",
    "es": r"resumen(?: estructurado| en espanol)?",
    "fr": r"resume(?: en francais| structure)?|abrege",
    "de": r"(?:deutsche )?(?:kurz)?zusammenfassung|kurzfassung|abstrakt",
}
ABSTRACT_TITLES = {"en": "Abstract", "pt": "Resumo", "es": "Resumen", "fr": "Résumé", "de": "Kurzfassung"}
# These may as well end a paper.
_MAY_END = re.compile(r"summary|sum[aá]rio|zusammenfassung", re.IGNORECASE)
_KEYWORDS = {
    "en": r"key[ -]?words?(?: and phrases)?|index terms",
    "pt": r"palavras?[ -]?chaves?|descritores|unitermos",
    "es": r"palabras?[ -]?claves?|descriptores",
    "fr": r"mots?[ -]?cle(?:f)?s?",
    "de": r"schlue?sselwoe?rter|schlue?sselbegriffe|stichwoe?rt(?:er|e)|schlagwoe?rter",
}
# Beside the abstract proper, for lay readers, editors or shop windows.
_OTHER_ABSTRACT = re.compile(
    r"(?:author|editor|plain language|lay|non-?technical|layperson)(?:s['’]?|['’]s)?,? (?:summary|abstract)"
    r"|(?:research |article )?highlights|key (?:points?|messages?|findings?)|(?:elife )?digest|elife digest"
    r"|(?:graphical|visual|video|translated|translational) (?:abstract|summary)|significance statement"
    r"|impact statement|(?:in brief|teaser|toc graphic|one[- ]sentence summary)"
    r"|resumo gr[aá]fico|resumen gr[aá]fico|puntos clave|pontos[- ]chave|points cl[eé]s|kernaussagen",
    re.IGNORECASE,
)
_SECTIONS = {
    "en": r"introduction|background|(?:general |theoretical )?background and .*|related work|theory"
    r"|(?:materials?|patients?|subjects?|data|experimental)? ?(?:(?:and|&) )?methods?|methodology|"
    r"experimental(?: (?:section|procedures?|setup|part))?"
    r"|results?(?: ?(?:and|&|/) ?discussions?)?|discussions?(?: ?(?:and|&) ?conclusions?)?|(?:general )?conclusions?"
    r"(?: and (?:outlook|future work|perspectives?))?|(?:conclud|clos)ing remarks|limitations|future (?:work|"
    r"directions)|outlook"
    r"|statistical analysis|study area|case (?:study|report)|appendix(?: [a-z0-9])?",
    "pt": r"introducao|antecedentes|referencial teorico|fundamentacao teorica|revisao (?:da |de )?literatura"
    r"|(?:(?:materia(?:l|is)|pacientes|sujeitos|casuistica) e )?metodos?|metodologia|parte experimental"
    r"|area de estudo|analise estatistica|relato de caso|resultados?(?: e discuss(?:ao|oes))?"
    r"|discuss(?:ao|oes)(?: e conclus(?:ao|oes))?|conclus(?:ao|oes)|consideracoes finais|limitacoes|objetivos?"
    r"|apendices?|anexos?",
    "es": r"introduccion|marco teorico|revision (?:de la literatura|bibliografica)"
    r"|(?:(?:material(?:es)?|pacientes|sujetos) y )?metodos?|area de estudio|analisis estadistico"
    r"|(?:presentacion del caso|casos? clinicos?)|resultados?(?: y discusion(?:es)?)?"
    r"|discusion(?:es)?(?: y conclusion(?:es)?)?|conclusion(?:es)?|consideraciones finales|limitaciones",
    "fr": r"contexte|etat de l['’]art|(?:(?:materiels?|patients?|sujets?|donnees) et )?methodes?|methodologie"
    r"|partie experimentale|zone d['’]etude|analyse statistique|cas clinique|resultats?(?: et discussions?)?"
    r"|discussions? et conclusions?|conclusions?(?: et perspectives?)?|perspectives|limites(?: de l['’]etude)?"
    r"|objectifs?|annexes?(?: [a-z0-9])?",
    "de": r"einleitung|einfue?hrung|(?:theoretischer )?hintergrund|stand der (?:forschung|technik)"
    r"|(?:(?:material(?:ien)?|patienten|probanden) und )?methoden?|methodik|experimenteller teil"
    r"|untersuchungsgebiet|statistische auswertung|fallbericht|ergebnisse?(?: und diskussion)?|resultate"
    r"|diskussion(?: und (?:schlu(?:ss|ß)folgerung(?:en)?|ausblick))?|schlu(?:ss|ß)folgerung(?:en)?"
    r"|schlu(?:ss|ß)betrachtung(?:en)?|fazit(?: und ausblick)?|(?:zusammenfassung und )?ausblick|limitationen"
    r"|zielsetzung|anhang(?: [a-z0-9])?",
}


def _compile(names: dict[str, str]) -> dict[str, re.Pattern[str]]:
    patterns = {code: names[code] if code == "en" else _accept_accents(names[code]) for code in names}
    return {code: re.compile(pattern, re.IGNORECASE) for code, pattern in patterns.items()}


def _join(patterns: dict[str, re.Pattern[str]]) -> str:
    return "|".join(pattern.pattern for pattern in patterns.values())


_ABSTRACT_PATTERNS, _KEYWORDS_PATTERNS = _compile(_ABSTRACT), _compile(_KEYWORDS)
SECTION_NAMES = re.compile(f"(?:{_join(_ABSTRACT_PATTERNS)}|{_join(_compile(_SECTIONS))})", re.IGNORECASE)
KEYWORDS_LINE = re.compile(rf"^\W*({_join(_KEYWORDS_PATTERNS)})\W*[:.—–-]\s*(.+)", re.IGNORECASE | re.DOTALL)
_ABSTRACT_LINE = re.compile(rf"({_join(_ABSTRACT_PATTERNS)})\s*[:.—–-]+\s*(?=\S)", re.IGNORECASE)
NUMBERED = re.compile(r"^((?:\d{1,2}\.)*\d{1,2}|[IVX]{1,5}|[A-Z](?=[.)]))[.)]?\s+(?=[^\W\d_])")

_AND = r"(?:\s*(?:,|and|&|/)\s*)"
_BOILERPLATE = {
    "references": r"(?:list of )?references?(?: list| cited)?|bibliography|literature(?: cited)?|works cited"
    r"|references and (?:notes|further reading)|notes and references|further reading",
    "acknowledgements": rf"acknowledge?ments?(?:{_AND}.*)?",
    "funding": rf"(?:sources? of )?(?:funding|financial (?:support|disclosures?)|grant support)"
    rf"(?: (?:statement|sources?|information|support))?(?:{_AND}.*)?|role of the funding source",
    "competing interests": r"(?:declarations? of )?(?:potential )?(?:competing|conflicts?(?: of)?|conflicting)"
    r"(?: financial)? interests?(?: statement)?|disclosures?(?: statement)?|duality of interest|declarations?",
    "author contributions": r"(?:author|authors|author's|authors'|authors’|author’s)?s? ?contributions?"
    r"(?: statement)?|credit authorship contribution statement"
    r"|(?:contributor|author(?:s['’]?|['’]s)?) (?:information|details)|about the authors?|authorship",
    "supporting information": r"(?:supporting|supplement(?:al|ary)|electronic supplementary|additional)"
    r" (?:information|materials?|data|files?|figures?|tables?|online material|methods?)(?: available)?"
    r"(?: files?| legends?)?|supplements?|appendix a\.? supplementary (?:data|material)|web extra material",
    "data availability": r"(?:data|code|software|materials?)(?:(?: and |/|, )(?:data|code|software|materials?))*"
    r" (?:availability|accessibility|deposition|archiving|access)(?: statements?)?"
    r"|availability of (?:data|materials?|code).*|accession (?:codes|numbers)|associated data",
    "ethics": r"ethic(?:s|al) (?:statements?|approval.*|declarations?|considerations?|standards?)|ethics"
    r"|consent (?:for publication|to (?:publish|participate))|informed consent(?: statement)?"
    r"|institutional review board statement",
    "copyright": rf"(?:rights{_AND})?permissions|copyright.*|licen[cs]e|open access|publisher['’]?s note",
    "peer review": r"(?:open )?peer[- ]?review(?:er)?(?: (?:reports?|files?|history|information|comments?|process"
    r"|statement|status|summary))?|(?:current )?(?:reviewer|referee) (?:status|information)"
    r"|(?:editor(?:ial|s['’]?|['’]s)? )?decision letter(?: .{1,40})?|editor(?:ial|s['’]?|['’]s)? decision"
    r"|authors?(?:['’]s?)? (?:response|reply|rebuttal)s?(?: to .*)?"
    r"|(?:response|reply|rebuttal)s? to (?:the )?(?:reviewer|referee|editor)s?.*"
    r"|(?:reviewer|referee)(?:s['’]?|['’]s)?(?: ?#?\d{1,2})?(?: (?:reports?|comments?|responses?))(?: .{1,40})?"
    r"|(?:reviewer|referee) ?#?\d{1,2}(?: ?\(.{1,60}\))?|(?:joint |consensus )?public reviews?"
    r"|recommendations for (?:the )?authors|elife(?:['’]s)? assessment|editor(?:s['’]?|['’]s) evaluation"
    r"|essential revisions?|comments on this article|reader comments",
    "publication history": r"pre-?publication history|article (?:history|information|info|notes?)"
    r"|about this article|cite this article|how to cite|citation|handling editor",
    "footnotes": r"(?:foot|end)-?notes?",
    "abbreviations": r"(?:list of )?abbreviations?(?: used)?|nomenclature|glossary",
}
_ALSO = r"(?:,? (?:e|y|et|und|&) .*)?"
_BOILERPLATE_ELSEWHERE = {
    "references": r"referencias?(?: bibliograficas?)?|references(?: bibliographiques)?|bibliografia|bibliographie"
    r"|obras citadas|literatura(?: citada)?|literatur(?:verzeichnis|angaben|hinweise)?|quellenverzeichnis"
    r"|referenzen",
    "acknowledgements": rf"(?:agradecimi?entos?|reconocimientos?|remerciements?|danksagung(?:en)?|dank){_ALSO}",
    "funding": r"(?:fontes? de |fuentes? de |sources? de )?(?:auxilio |apoio |apoyo |suporte |soporte |soutien )?"
    rf"(?:financiamento|financiaci(?:on|amiento)|financement|financeiro|financiero|financier){_ALSO}"
    r"|foe?rderung|finanzierung|finanzielle unterstue?tzung|drittmittel",
    "competing interests": r"(?:declarac(?:ao|ion) (?:de|sobre) (?:os |los )?)?(?:potenciai?s? )?confli(?:c)?tos? de "
    r"inter(?:es|eses|esses?)|(?:declarations? (?:de|des) )?(?:conflits?|liens?) d['’]interets?"
    r"|(?:(?:angaben|erkla?e?rung) zu )?(?:mue?gliche[nr]? )?interessenkonflikte?n?",
    "author contributions": r"contribuic(?:ao|oes) (?:dos |das |de )?autor(?:es|as|ia)|contribucion(?:es)? de (?:los "
    r"|las |la )?autor(?:es|as|ia)|colaborador[ae]s|contributions? des auteurs?"
    r"|autorenbeitrae?ge|beitrae?ge der autor(?:en|innen)|sobre (?:os|as|los|las?|o|el) autor(?:es|as|a)?"
    r"|(?:informac(?:oes|ion) (?:dos|de los) autores)|a propos des auteurs|ue?ber die autor(?:en|innen)",
    "supporting information": r"(?:materia(?:l|is|les)|informac(?:ao|oes|ion)|dados|datos|arquivos?|archivos?"
    r"|anexos?) (?:suplementar(?:es)?|suplementari[ao]s?|adiciona(?:l|is|les)|complementar(?:es|i[ao]s?)?)"
    r"|(?:materiels?|donnees|informations?|annexes?|fichiers?) (?:supplementaires?|complementaires?)"
    r"|(?:ergae?nzende|zusae?tzliche)[sn]? (?:material(?:ien)?|informationen|daten)|zusatzmaterial(?:ien)?",
    "data availability": r"(?:declarac(?:ao|ion) de )?disponibili(?:dade|dad|te) (?:de|dos?|des?) (?:los |l[ao]s? )?"
    r"(?:dados|datos|donnees|materia[a-z]{1,4}).*|datenverfue?gbarkeit|verfue?gbarkeit (?:der|von) daten",
    "ethics": r"(?:aspectos|consideracoes|consideraciones|responsabilidades) etic[oa]s|aprovacao etica"
    r"|aprobacion etica|etica|(?:aspects|considerations) ethiques|ethique|approbation (?:ethique|du comite.*)"
    r"|(?:termo de )?consentimento .*(?:informado|esclarecido)|consentimiento informado|consentement eclaire"
    r"|ethik(?:votum|erklae?rung)?|(?:einhaltung )?ethische[rn]? (?:aspekte|richtlinien|standards)"
    r"|einwilligung(?:serklae?rung)?",
    "copyright": r"direitos autorais|derechos de autor|droits d['’]auteur|licenca|licencia|lizenz|urheberrecht",
    "publication history": r"(?:como citar|para citar|pour citer|comment citer)(?: .*)?|citar como"
    r"|datas? de publicacao|fechas? de publicacion"
    r"|zitier(?:weise|vorschlag|hinweis)|historico|editor(?:es)? (?:responsave(?:l|is)|responsables?)",
    "footnotes": r"notas?(?: de rodape| de fim| finales| al? (?:la )?pie.*)?|notes de bas de page|fu(?:ss|ß)noten"
    r"|endnoten|anmerkungen",
    "abbreviations": r"(?:lista de |liste des )?(?:abreviaturas?|abreviac(?:oes|iones)|siglas|abreviations)"
    rf"{_ALSO}|abkue?rzung(?:en|sverzeichnis)|glosario|glossario|glossaire|glossar|nomenclatura",
}
_BOILERPLATE_PATTERNS = {
    kind: re.compile(
        f"{pattern}|{_accept_accents(_BOILERPLATE_ELSEWHERE[kind])}" if kind in _BOILERPLATE_ELSEWHERE else pattern,
        re.IGNORECASE,
    )
    for kind, pattern in _BOILERPLATE.items()
}

# The headings inside a structured abstract. Those of "end" close it.
_OWN = {
    "opening": r"background.*|context|importance|introduction|rationale|contexto|antecedentes|contexte|introducao"
    r"|introduccion|hintergrund|einleitung|justificativa",
    "aim": r"(?:(?:study )?objectives?|aims?|purpose|goals?|hypothes[ei]s|questions?).*|objetivos?|objectifs?|buts?"
    r"|ziele?|zielsetzung|fragestellung",
    "methods": r"(?:(?:materials?|patients?|subjects?|study) (?:and|&) )?(?:methods?|methodology)(?:\b.*)?"
    r"|(?:\w{5,12} (?:e|y|et|und) )?(?:metodos?|methodes?|methoden?|metodologia|methodik)",
    "results": r"(?:(?:main|principal|key) )?(?:results?|findings?)(?:\b.*)?|resultados?|resultats?|ergebnisse?",
    "end": r"(?:conclusions?|interpretation|significance|discussion|implications?|relevance)(?:\b.*)?"
    r"|(?:clinical )?trial registration.*|(?:trial )?registration(?: number)?|funding|limitations?"
    r"|systematic review registration|conclus(?:ao|oes)|conclusion(?:es)?|schlu(?:ss|ß)folgerung(?:en)?|fazit",
    "other": r"(?:study )?design.*|settings?|participants?|interventions?|(?:main |primary )?outcomes?.*"
    r"|(?:main )?(?:outcome )?measure(?:ment|e)?s?.*|data (?:sources?|collection|synthesis|extraction).*"
    r"|study selection|eligibility.*|exposures?|samples?|scope|approach|location|patients?|subjects?|motivation",
}
_OWN_PATTERNS = {kind: re.compile(f"{names}|{_accept_accents(names)}", re.IGNORECASE) for kind, names in _OWN.items()}

_CAPTION = re.compile(
    r"\s*(?:fig(?:ure|ura|\.)?|table|scheme|tabela|tabla|tableau|tabelle|quadro|cuadro|abb(?:ildung|\.))\s*S?\d+\s*[.:|–—-]",
    re.IGNORECASE,
)
_STOP_WORDS = {
    "en": "the of and was were is that with by from which this are",
    "pt": "os das dos uma foi foram não com para em pelo são mais ao",
    "es": "el los las una fue fueron con para por del en más y se",
    "fr": "le les des une est dans par pour avec qui sur du été et",
    "de": "der die das und von mit wurde wurden nicht ist den eine zu im",
}


def bare_heading(line: str) -> str:
    """A heading without its marks and number."""
    text = unicodedata.normalize("NFC", clean_text(line)).strip("#*_ ")
    return NUMBERED.sub("", text).rstrip(" :.") or text


def find_boilerplate_kind(heading: str) -> str:
    """The kind of boilerplate that a section with this heading holds, or "" where it belongs to the paper.

    >>> find_boilerplate_kind("5. Authors' contributions")
    'author contributions'
    """
    text = unicodedata.normalize("NFC", heading)
    bare = re.sub(r"^\s*(?:(?:[Bb]ox|BOX|[Pp]anel)\s+)?(?:\d+(?:\.\d+)*|[IVX]+|[A-H])[.):]?\s+", "", text)
    bare = bare.strip().rstrip(" .:")
    if len(bare) > MAX_HEADING:
        return ""
    return next((kind for kind, pattern in _BOILERPLATE_PATTERNS.items() if pattern.fullmatch(bare)), "")


def find_abstract_language(heading: str) -> str:
    """The language of the abstract that a heading opens ("en", "pt", "es", "fr", "de"), or "" where it opens none."""
    return _find_language(heading, _ABSTRACT_PATTERNS)


def find_keywords_language(heading: str) -> str:
    """The language of the keywords that a heading opens, or "" where it opens none."""
    return _find_language(heading, _KEYWORDS_PATTERNS)


def _find_language(heading: str, patterns: dict[str, re.Pattern[str]]) -> str:
    bare = bare_heading(heading)
    return next((code for code, pattern in patterns.items() if pattern.fullmatch(bare)), "")


def may_end_paper(heading: str) -> bool:
    """Whether the name of an abstract is also one for the section that ends a paper: "Summary"."""
    return _MAY_END.fullmatch(bare_heading(heading)) is not None


def is_other_abstract(heading: str) -> bool:
    """Whether a heading opens a summary beside the abstract proper: "Author Summary", "Highlights"."""
    return _OTHER_ABSTRACT.fullmatch(bare_heading(heading)) is not None


def find_abstract_part(heading: str) -> str:
    """Which part of a structured abstract a heading may open ("opening", "aim", "methods", "results", "end", "other").

    >>> [find_abstract_part(heading) for heading in ("Methods and Findings", "Silt")]
    ['methods', '']
    """
    bare = bare_heading(heading)
    if len(bare) > 60:
        return ""
    return next((kind for kind, pattern in _OWN_PATTERNS.items() if pattern.fullmatch(bare)), "")


def is_heading(text: str, by_number: bool = True) -> bool:
    """Whether a line on its own is a heading by its name, or by its number and its length."""
    if len(text) > MAX_HEADING:
        return False
    is_numbered = re.match(r"(?:\d{1,2}\.){0,4}\d{1,2}\.?\s+[^\W\d_]{2}", text) and not text.endswith((".", ",", ";"))
    names = (SECTION_NAMES.fullmatch(bare_heading(text)), find_boilerplate_kind(text), find_keywords_language(text))
    return bool((is_numbered and by_number) or any(names) or is_other_abstract(text) or find_abstract_part(text))


def match_keywords_line(text: str) -> tuple[str, str]:
    """The language and the words of a paragraph "Keywords: river; lake", or two empty strings."""
    match = KEYWORDS_LINE.match(unicodedata.normalize("NFC", text))
    return (find_keywords_language(match[1]), match[match.lastindex or 2]) if match else ("", "")


def match_abstract_line(text: str) -> tuple[str, str]:
    """The language and the text of a paragraph "Abstract: Oxygen fell.", or two empty strings."""
    match = _ABSTRACT_LINE.match(unicodedata.normalize("NFC", text[:40]))
    return (find_abstract_language(match[1]), text[match.end() :]) if match else ("", "")


def guess_language(text: str) -> str:
    """The language of a text by its commonest small words; "" where too few of them say so."""
    words = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    counts = {code: sum(words[word] for word in names.split()) for code, names in _STOP_WORDS.items()}
    best, second = sorted(counts.values())[-1], sorted(counts.values())[-2]
    return max(counts, key=lambda code: counts[code]) if best >= 5 and best > 1.3 * second else ""


def is_caption(line: str) -> bool:
    """Whether a line is the caption of a figure, a table or a scheme: "Fig. 1. Oxygen by month"."""
    return _CAPTION.match(line) is not None


def split_keywords(text: str) -> list[str]:
    """Keywords written in one line, set apart by semicolons or, without any, by commas, dots in the middle or bars."""
    separator = next((sign for sign in (";", "[·•∙|]", r"\s–\s") if re.search(sign, text)), r",(?!\d)")
    parts = re.split(separator, text)
    words = (clean_text(part).strip(" .,:") for part in parts)
    return list(dict.fromkeys(word for word in words if 1 < len(word) <= 100))
