"""Each rule of the question writer: sentences that it asks about, and sentences that it must leave alone."""

import pytest

from sciqag_lib.question_writer.clauses import find_clause
from sciqag_lib.question_writer.parsing import parse_sentences
from sciqag_lib.question_writer.writer import RULES

EXAMPLES = {
    "cause": {
        "The old bridge failed because its bolts had rusted.": "why did the old bridge fail",
        "Because of the long drought, many farms lost their cattle.": "why did many farms lose their cattle",
        "Growth was slow due to the low temperature.": "why was growth slow",
        "Since light is scarce in caves, blind fish rely on smell.": "why do blind fish rely on smell",
        "In dry years, wells ran empty as a result of heavy pumping.": "in dry years, why did wells run empty",
    },
    "source": {
        "The red color of the soil is due to iron oxides.": "what is the red color of the soil due to",
        "Most errors in the survey resulted from poor light.": "what did most errors in the survey result from",
        "The salt of the lake originated from old sea beds.": "what did the salt of the lake originate from",
        "The higher cost of the new alloy is mainly due to cobalt.": "what is the higher cost of the new alloy due to",
    },
    "purpose": {
        "Gray seals dive at night in order to find squid.": "why do gray seals dive at night",
        "In order to save water, many plants open their pores at night.":
            "why do many plants open their pores at night",
        "The tanks were covered so that no light could enter.": "why were the tanks covered",
        "Salmon swim upstream so as to spawn in cold rivers.": "why do salmon swim upstream",
    },
    "means": {
        "Bats find moths by listening to echoes.": "how do bats find moths",
        "Some ants protect aphids by chasing away ladybirds.": "how do some ants protect aphids",
        "Water loss can be reduced by covering the soil with straw.": "how can water loss be reduced",
        "In winter, honey bees keep warm by shivering in a cluster.": "in winter, how do honey bees keep warm",
    },
    "effect": {
        "Late frost delays the flowering of apple trees.": "how does late frost affect the flowering of apple trees",
        "Salt reduced root growth by 40%.": "how did salt affect root growth",
        "The new fertilizer did not increase wheat yields.": "how did the new fertilizer affect wheat yields",
        "Grazing can strongly suppress young oaks in open woods.": "how can grazing affect young oaks in open woods",
        "Caffeine has been shown to improve alertness.": "how has caffeine been shown to affect alertness",
    },
    "agent": {
        "Flowering is delayed by late frost.": "what delays flowering",
        "Root growth was inhibited by high levels of salt.": "what inhibited root growth",
        "Leaf fall may be triggered by short days.": "what may trigger leaf fall",
        "The timing of molting is controlled by ecdysone.": "what controls the timing of molting",
    },
    "cause_of": {
        "Late frost delays the flowering of apple trees.": "what delays the flowering of apple trees",
        "High salt levels inhibit root growth.": "what inhibits root growth",
        "Heavy grazing led to erosion on steep slopes.": "what led to erosion on steep slopes",
        "In warm seas, the bleaching of corals leads to the loss of fish.":
            "in warm seas, what leads to the loss of fish",
        "Short days have been found to trigger leaf fall.": "what has been found to trigger leaf fall",
    },
    "object": {
        "The heart valve requires calcium for its movement.": "what does the heart valve require",
        "The lichens on granite walls secrete oxalic acid.": "what do the lichens on granite walls secrete",
        "The plasmid carries two genes for toxin production.": "what does the plasmid carry",
        "Young salmon produced more urea in warm water than cold.": None,
        "Ground beetles in hedges produce quinones for defense.": "what do ground beetles in hedges produce",
    },
    "any_object": {
        "Ants of many kinds can bury the seeds of violets.": "what can ants of many kinds bury",
        "Beavers in the north built large stone dams.": "what did beavers in the north build",
        "Large trout in the lakes eat small white fish.": "what do large trout in the lakes eat",
        "Older farmers of the valley described three severe winters.": "what did older farmers of the valley describe",
    },
    "consequence": {
        "Heavy grazing leads to soil erosion.": "what does heavy grazing lead to",
        "The mild winter resulted in an early bloom.": "what did the mild winter result in",
        "Egg survival depends on the oxygen content of the gravel.": "what does egg survival depend on",
        "Young dragonflies feed mainly on small flies.": "what do young dragonflies feed on",
    },
    "number": {
        "There were 45 ponds on the island.": "how many ponds were there on the island",
        "Twelve wells in the valley contained arsenic.": "how many wells in the valley contained arsenic",
        "The largest herd contains 80 reindeer calves.": "how many reindeer calves does the largest herd contain",
        "Only nine nests survived the flood.": "how many nests survived the flood",
    },
    "share": {
        "Almost 40% of the wells were dry.": "what percentage of the wells were dry",
        "Nearly 12% of the eggs were alive after a day.": "what percentage of the eggs were alive after a day",
        "In 2003, 61% of farms used no pesticides.": "in 2003, what percentage of farms used no pesticides",
        "About 5 percent of all calls were made at night.": "what percentage of all calls were made at night",
    },
    "value": {
        "The median depth of the wells was 61 m.": "what was the median depth of the wells",
        "The mean age of the trees is 140 years.": "what is the mean age of the trees",
        "The average body length was 12 cm in warm water.": "what was the average body length in warm water",
        "The survival rate of fledglings was 45%.": "what was the survival rate of fledglings",
    },
    "range": {
        "The depths of the wells ranged from 3 to 90 m.": "what was the range of the depths of the wells",
        "The age of the trees ranges from 40 to 300 years.": "what is the range of the age of the trees",
        "The size of the litters varied from 2 to 9 pups.": "what was the range of the size of the litters",
        "In spring, water levels ranged from 1.5 to 4 m.": "in spring, what was the range of water levels",
    },
    "change": {
        "Wheat yields fell by 12%.": "by how much did wheat yields fall",
        "The number of wolves rose from 12 to 96.": "how much did the number of wolves rise",
        "In clay soils, infiltration decreased by 30%.": "in clay soils, by how much did infiltration decrease",
        "Milk production has increased by 8% in small herds.":
            "by how much has milk production increased in small herds",
    },
    "trend": {
        "Milk yields decreased after weaning.": "how did milk yields change after weaning",
        "The number of wolves increased sharply with the ban.": "how did the number of wolves change with the ban",
        "Enzyme levels were reduced in the cold water.": "how were enzyme levels changed in the cold water",
        "The demand for water rose when prices were low.": "how did the demand for water change when prices were low",
    },
    "comparison": {
        "Yields were higher in clay soils than in sandy soils.":
            "how did yields differ between clay soils and sandy soils",
        "Oak wood is denser than pine wood.": "how does oak wood compare with pine wood",
        "The old method was more accurate than visual counts.": "how did the old method compare with visual counts",
        "Egg mortality was lower in streams than in lakes.": "how did egg mortality differ between streams and lakes",
    },
    "shift": {
        "Growth was reduced in clay soils compared with sandy soils.":
            "how did growth differ between clay soils and sandy soils",
        "Nest density was higher in hedges compared to open fields.":
            "how did nest density differ between hedges and open fields",
        "Enzyme activity was increased in warm water relative to cold water.":
            "how did enzyme activity differ between warm water and cold water",
        "Fat content is lower in wild salmon compared with farmed salmon.":
            "how does fat content differ between wild salmon and farmed salmon",
    },
    "possession": {
        "Oak trees had thicker bark than pine trees.": "how did oak trees compare with pine trees in bark",
        "Wild salmon have a lower fat content than farmed salmon.":
            "how do wild salmon compare with farmed salmon in fat content",
        "The new alloy showed less wear than steel.": "how did the new alloy compare with steel in wear",
        "Patients with asthma reported more pain than controls.":
            "how did patients with asthma compare with controls in pain",
    },
    "likeness": {
        "There was no difference in height between oak and pine.": "how did height compare between oak and pine",
        "Nest success did not differ between hedges and fields.":
            "how did nest success compare between hedges and fields",
        "Egg size does not vary between old and young hens.": "how does egg size compare between old and young hens",
        "The new hens did not differ from the old hens in weight.":
            "how did the new hens compare with the old hens in weight",
    },
    "difference": {
        "Oak differs from pine in its density.": "how does oak differ from pine",
        "The two oak species differ from each other in leaf shape.":
            "how do the two oak species differ from each other",
        "Marsh tits differ from willow tits by having a glossy cap.": "how do marsh tits differ from willow tits",
        "The old wells differ from the new wells in calcium content.": "how do the old wells differ from the new wells",
    },
    "correlation": {
        "Tree height was strongly correlated with age.": "how was tree height correlated with age",
        "Nest success was negatively associated with road density.":
            "how was nest success associated with road density",
        "Larval growth is associated with water temperature.": "what is larval growth associated with",
        "Milk yield is inversely related to fat content.": "how is milk yield related to fat content",
    },
    "condition": {
        "The seeds of pines can sprout only if the soil is warm.":
            "under what conditions can the seeds of pines sprout",
        "Desert frogs become active when heavy rain falls.": "under what conditions do desert frogs become active",
        "Mussels close their shells if the water turns acidic.": "under what conditions do mussels close their shells",
        "Young trees die when their roots are flooded.": "under what conditions do young trees die",
    },
    "event": {
        "When the dam broke, the valley was flooded.": "what happened when the dam broke",
        "If the soil freezes, most worms move to deeper layers.": "what happens if the soil freezes",
        "When calcium is removed, the valve stays open.": "what happens when calcium is removed",
        "If wolves return, deer may leave the valley.": "what may happen if wolves return",
    },
    "time": {
        "The old dam broke in 1963.": "when did the old dam break",
        "Zebra mussels reached the lake in 1994.": "when did zebra mussels reach the lake",
        "The island was declared a reserve in 1972.": "when was the island declared a reserve",
        "Wolves have been protected in Poland since 1998.": "since when have wolves been protected in Poland",
    },
    "place": {
        "The enzyme is found in young leaves.": "where is the enzyme found",
        "The larvae live in small streams.": "where do the larvae live",
        "Most of the young eels live in small streams.": "where do most of the young eels live",
        "The receptor is located at the tip of the antenna.": "where is the receptor located",
    },
    "definition": {
        "A drumlin is a hill that glaciers have shaped.": "what is a drumlin",
        "Gleying is the loss of color in wet soils.": "what is gleying",
        "Plastrons are thin films of air that insects carry under water.": "what are plastrons",
        "Soil creep is the slow movement of soil down a slope.": "what is soil creep",
    },
    "defined": {
        "Surface runoff is defined as water that leaves a field.": "how is surface runoff defined",
        "Heavy rain was defined as more than 20 mm per hour.": "how was heavy rain defined",
        "Nest success is defined as the share of eggs that hatch.": "how is nest success defined",
        "Old trees were defined as trees that were over 90 cm thick.": "how were old trees defined",
    },
    "naming": {
        "Hills that were shaped by ice are called drumlins.": "what are hills that were shaped by ice called",
        "The loss of leaves in dry seasons is known as drought deciduousness.":
            "what is the loss of leaves in dry seasons known as",
        "The wind that blows down a valley at night is called a katabatic wind.":
            "what is the wind that blows down a valley at night called",
        "Water held between soil grains is referred to as pore water.":
            "what is water held between soil grains referred to as",
    },
    "parts": {
        "Granite is composed of quartz, feldspar and mica.": "what is granite composed of",
        "The nest consists of moss and spider silk.": "what does the nest consist of",
        "Diatom shells are made of silica.": "what are diatom shells made of",
        "The upper layer of the peat consists of living moss.": "what does the upper layer of the peat consist of",
    },
    "identity": {
        "The main cause of losses was frost.": "what was the main cause of losses",
        "Frost is the most common cause of losses in spring.": "what is the most common cause of losses in spring",
        "The strongest predictors of survival were age and weight.": "what were the strongest predictors of survival",
        "Lignin is one of the hardest parts of wood.": "what is one of the hardest parts of wood",
        "Frost and hail were the main cause of losses.": "what was the main cause of losses",
    },
    "use": {
        "Chitinase is involved in the molting of crabs.": "what is chitinase involved in",
        "Sphagnum moss is used as a wound dressing.": "what is sphagnum moss used as",
        "Magnesium is required for the assembly of ribosomes.": "what is magnesium required for",
        "The old scale of wind force is based on the state of the sea.": "what is the old scale of wind force based on",
    },
    "meaning": {
        "The low number of pollen grains implies that trees had vanished.":
            "what does the low number of pollen grains imply",
        "The thick shells of early oysters suggest that crabs were common.":
            "what do the thick shells of early oysters suggest",
        "A shift in tooth wear indicates that diets became harder.": "what does a shift in tooth wear indicate",
        "The wide rings of the oldest logs suggest that summers were wet.":
            "what do the wide rings of the oldest logs suggest",
    },
}  # fmt: skip

COUNTER_EXAMPLES = {
    "cause": ["This is because of the drought.", "Losses due to drought were high.", "The river rose after the rain."],
    "source": ["The rent is due.", "The errors resulted in heavy losses.", "The birds came from the north."],
    "purpose": ["The trees failed to grow.", "The load was so high that the beam broke.", "The order was placed late."],
    "means": ["Yields fell by 12%.", "The house was built by Roman masons.", "Closing pores helps to save water."],
    "effect": [
        "A late frost can delay the harvest and kill buds.", "It delays flowering.", "Old trees have deep roots.",
    ],
    "agent": [
        "Growth was determined by weighing.",
        "Yields were reduced by 12%.",
        "It was written by Darwin.",
        "Light was controlled by turning lamps.",
    ],
    "cause_of": ["The results explain the gap.", "It delays flowering.", "Old trees have deep roots."],
    "object": ["It requires calcium.", "The law requires that farms close.", "The valve opens slowly."],
    "any_object": ["Oak has deep roots.", "Frost plays a role in spring.", "It eats small fish."],
    "consequence": ["The road leads north.", "It led to erosion.", "Heavy grazing did not lead to erosion."],
    "number": ["The trip took 3 days.", "Two of them were lost.", "One reason was the cold."],
    "share": ["A share of 40% is high.", "Wells of 40 m were dry.", "Yields fell by 40%."],
    "value": ["Depth was 61 m.", "The river is long.", "The results were 4% and 9%, respectively."],
    "range": ["The topics ranged from ethics to law.", "It ranged from 3 to 9 m.", "The mountain range is old."],
    "change": ["The birds fell silent.", "Yields fell in spring.", "It fell by 12%."],
    "trend": ["Yields fell.", "Yields fell by 12% in spring.", "It fell after the war."],
    "comparison": ["More than 40 wells were dry.", "The well is deep.", "It was sold rather than kept."],
    "shift": ["Clay was compared with sand.", "Growth was reduced in clay.", "Growth was slow compared with that."],
    "possession": ["Oak had more than 40 rings.", "Oak had thick bark.", "They ate more roots than usual."],
    "likeness": ["Heights differed between oak and pine.", "There was a gap between the rocks.", "Oak is like ash."],
    "difference": ["Oak and pine differ widely.", "The price is different.", "Oak does not differ from pine in cost."],
    "correlation": ["Related work was read.", "Age was not correlated with height.", "She relates an old story."],
    "condition": ["Nobody knew if it rained.", "When it rains, the frogs are loud.", "The frogs sing at night."],
    "event": ["If so, the frogs are loud.", "The frogs sing when it rains.", "When it rains, the frogs are loud."],
    "time": ["The dam broke in spring.", "The dam holds 1963 tons.", "The dam stood from 1950 to 1963."],
    "place": ["The enzyme was found to grow.", "The enzyme is found in this study.", "The enzyme is large."],
    "definition": [
        "It is a hill that glaciers shaped.", "The aim is a test of the method.", "Oak was a choice of many.",
    ],
    "defined": ["Groups were defined by age.", "It is defined as runoff.", "The terms are clear."],
    "naming": ["Help was called.", "They called the hill a drumlin.", "The hill is known to many."],
    "parts": ["It consists of quartz.", "Cheese is made in Italy.", "The choir sang of spring."],
    "identity": [
        "The main aim of the work was a test.", "Frost was strongest in May.", "It is the main cause of losses.",
    ],
    "use": ["The pump was used for the test.", "They are involved in trade.", "Oak is hard."],
    "meaning": ["The results suggest that trees died.", "It implies that trees died.", "Maps show old roads."],
}  # fmt: skip


def ask(name: str, sentence: str) -> list[str]:
    """The questions that one rule makes of a sentence, with what they open with, in the rule's order."""
    clause = find_clause(next(parse_sentences([sentence])))
    assert clause is not None, "the parser found no clause"
    drafts = [draft for draft in dict(RULES)[name](clause) if draft is not None]
    return [f"{draft.front}, {draft.body}".removeprefix(", ").lower() for draft in drafts]


@pytest.mark.parametrize(
    ("name", "sentence", "question"),
    [(name, *example) for name, examples in EXAMPLES.items() for example in examples.items()],
)
def test_a_rule_turns_its_sentence_round(name: str, sentence: str, question: str | None) -> None:
    assert ask(name, sentence) == ([question.lower()] if question else [])


@pytest.mark.parametrize(
    ("name", "sentence"), [(name, sentence) for name, sentences in COUNTER_EXAMPLES.items() for sentence in sentences]
)
def test_a_rule_leaves_other_sentences_alone(name: str, sentence: str) -> None:
    assert ask(name, sentence) == []


def test_every_rule_has_examples_and_counter_examples() -> None:
    names = {name for name, _ in RULES}
    assert names == EXAMPLES.keys() == COUNTER_EXAMPLES.keys()
    assert all(len(EXAMPLES[name]) >= 4 and len(COUNTER_EXAMPLES[name]) >= 3 for name in names)
