/* What became of a case, beside its pictures: while a threshold is tried, its figures, and the evaluation's own beside them. */
/** @import { FindingFacts } from "../viewer/finding.js" */
/** @import { Sum } from "../viewer/totals.js" */
import { element, elements } from "../core/elements.js";
import { count, threshold as thresholdWords } from "../core/format.js";
import { setIcon } from "../core/icons.js";
import { showNotes } from "../viewer/finding.js";
import { agreementOf } from "../viewer/mask.js";

const UNDEFINED = "–"; // also what is not measured in a preview
const STEADY = new Set(["truth_pixels", "max_probability"]); // whatever the threshold
const shownShare = (/** @type {number | null} */ value) => (value === null ? UNDEFINED : value.toFixed(3));

export class CaseFinding {
  /**
   * @param {HTMLElement} root
   * @param {FindingFacts} facts
   */
  constructor(root, { threshold, hasDepth }) {
    this.root = root;
    this.threshold = threshold;
    this.hasDepth = hasDepth;
    /** @type {Record<string, [tone: string, icon: string, words: string]>} by outcome */
    this.outcomes = JSON.parse(root.dataset.outcomes ?? "{}");
    this.allClear = root.dataset.allClear ?? "no_tumor";
    this.withMask = root.dataset.withMask ?? "tumor_detected"; // not_assessed: what is marked is no finding
    this.expertPixels = root.dataset.expertPixels === undefined ? null : Number(root.dataset.expertPixels);
    this.tag = element("#preview-tag", HTMLElement, root);
    this.verdict = element("#verdict", HTMLElement, root);
    this.words = element("strong", HTMLElement, this.verdict);
    this.storedOutcome = Object.values(this.outcomes).find(([, , words]) => words === this.words.textContent);
    this.facts = elements("[data-fact]", HTMLElement, root).map((fact) => ({
      element: fact,
      name: fact.dataset.fact ?? "",
      stored: fact.textContent,
      beside: element(".stored", HTMLElement, fact.parentElement ?? root),
    }));
  }

  /**
   * @param {number} threshold
   * @param {Sum} sum
   */
  preview(threshold, sum) {
    const { dice, iou, precision, recall } = sum.overlap ? agreementOf(sum.overlap) : { dice: null, iou: null, precision: null, recall: null };
    const figures = new Map([
      ["predicted_pixels", count(sum.pixels)],
      ["doubtful_pixels", count(sum.doubtful)],
      ["uncounted_pixels", count(sum.uncounted)],
      ["dice", shownShare(dice)],
      ["iou", shownShare(iou)],
      ["precision", shownShare(precision)],
      ["recall", shownShare(recall)],
      ["threshold", `${thresholdWords(threshold)} (preview)`],
    ]);
    this.root.dataset.preview = "";
    this.tag.hidden = false;
    this.tag.textContent = `Preview at ${thresholdWords(threshold)}. Evaluated at ${thresholdWords(this.threshold)}.`;
    if (this.hasDepth) this.tag.textContent += " The rule for stacks is left out.";
    this.showOutcome(this.outcomes[this.outcomeOf(sum)]);
    for (const { element: fact, name, stored, beside } of this.facts) {
      fact.textContent = figures.get(name) ?? (STEADY.has(name) ? stored : UNDEFINED);
      beside.hidden = STEADY.has(name);
    }
    showNotes(true);
    element("#preview-words", HTMLElement).textContent = `Preview at ${thresholdWords(threshold)}: ${this.words.textContent.toLowerCase()}${sum.overlap ? `, Dice ${shownShare(dice)}` : ""}.`;
  }

  /**
   * As webapp/domain/evaluations/case_rows.py names it.
   * @param {Sum} sum
   */
  outcomeOf({ pixels, doubt }) {
    if (this.expertPixels === null && (pixels || this.withMask === "not_assessed")) return this.withMask;
    if (this.expertPixels === null) return doubt ? "uncertain" : this.allClear;
    if (this.expertPixels) return pixels ? "found" : doubt ? "uncertain_tumor" : "missed";
    return pixels ? "false_alarm" : doubt ? "uncertain_clear" : "clear";
  }

  /** The figures of the evaluation, as the server wrote them. */
  stored() {
    delete this.root.dataset.preview;
    this.tag.hidden = true;
    showNotes(false);
    this.showOutcome(this.storedOutcome);
    for (const { element: fact, stored, beside } of this.facts) {
      fact.textContent = stored;
      beside.hidden = true;
    }
  }

  /** @param {[tone: string, icon: string, words: string] | undefined} outcome */
  showOutcome(outcome) {
    const [tone, icon, words] = outcome ?? ["plain", "info", ""];
    this.verdict.dataset.tone = tone;
    this.words.textContent = words;
    setIcon(this.verdict, icon);
  }
}
