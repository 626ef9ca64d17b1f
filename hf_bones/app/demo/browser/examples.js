// A click on a drawn example tells the server its number.
({ element, trigger }) => {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-example]");
    if (button) trigger("click", { example: Number(button.dataset.example) });
  });
}
