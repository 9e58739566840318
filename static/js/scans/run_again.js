/* The form that runs a scan again: the threshold of one model is not that of another. */
import { findElement } from "../core/elements.js";

/** The chosen model's own threshold stands in the field, unless the reader has typed another. */
export function followModel() {
  const model = findElement(".again select", HTMLSelectElement);
  const threshold = findElement(".again input[name=threshold]", HTMLInputElement);
  if (!model || !threshold) return; // whose role only reads has no form
  let proposed = threshold.value;
  const propose = () => {
    const own = model.selectedOptions[0]?.dataset.threshold;
    if (own === undefined || threshold.value !== proposed) return;
    threshold.value = proposed = own;
  };
  model.addEventListener("change", propose);
  propose(); // the run's model may be gone, and another be chosen
}
