import { ask, placeOf, tell } from "./place.js";

const form = document.querySelector("form");
const said = document.querySelector("#said");
const button = form.querySelector("button");
const back = placeOf(new URLSearchParams(location.search).get("back") ?? "/");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  tell(said, "");
  const { status, found } = await ask("/v1/login", { name: form.user.value.trim(), password: form.password.value });
  if (status === 200) {
    location.replace(back);
    return;
  }
  button.disabled = false;
  tell(said, found.error ?? "the daemon does not say why not: try again");
  form.password.value = "";
  form.password.focus();
});

// who has come by a link of another site is known all the same, only its request was without the cookie
if ((await ask("/v1/rights")).status === 200) location.replace(back);
else document.body.dataset.ready = "";
