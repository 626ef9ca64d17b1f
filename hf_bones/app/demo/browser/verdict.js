// The answer is read out, and brought into view, when it comes.
({ element, watch }) => {
  element.setAttribute("role", "status");
  element.setAttribute("aria-live", "polite");
  watch("value", () => element.querySelector(".verdict").scrollIntoView({ block: "nearest" }));
}
