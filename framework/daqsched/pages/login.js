import { ask, placeOf, tell } from "./place.js";

const form = document.querySelector("form");
const said = document.querySelector("#said");
const button = form.querySelector("button");
const provider = document.querySelector("#provider");
const asked = new URLSearchParams(location.search);
const back = placeOf(asked.get("back") ?? "/");
const unsaid = "the daemon does not say why not: try again";

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
  tell(said, found.error ?? unsaid);
  form.password.value = "";
  form.password.focus();
});

provider.addEventListener("click", async () => {
  if (provider.disabled) return;
  provider.disabled = true;
  tell(said, "");
  const { status, found } = await ask("/v1/oidc", { back: back.slice(location.origin.length) });
  // out of this site, by what the daemon was told when it began
  if (status === 200 && `${found.address}`.startsWith("https://")) location.assign(found.address);
  else tell(said, found.error ?? unsaid);
  provider.disabled = false;
});

/** How one logs in here: the form is there without a word of the daemon's, as it may be slow. */
async function offer() {
  const { status, found } = await ask("/v1/login");
  if (status !== 200 || !found.provider) return;
  provider.textContent = `Log in with ${String(found.provider).slice(0, 100)}`;
  provider.hidden = false;
  if (found.passwords) return;
  form.hidden = true;
  provider.focus();
}

/** What the identity provider led back here with is good for once, and stays in no history. */
async function end() {
  history.replaceState(null, "", "/login");
  const word = (name) => asked.get(name) ?? "";
  const { status, found } = await ask("/v1/oidc-login", { state: word("state"), code: word("code"), error: word("error"), iss: word("iss") });
  if (status === 200) location.replace(placeOf(found.back || "/"));
  else tell(said, found.error ?? unsaid);
  return status === 200;
}

const offered = offer();
if (asked.has("state")) {
  if (!(await end())) document.body.dataset.ready = "";
} else if ((await ask("/v1/rights")).status === 200) {
  // who has come by a link of another site is known all the same, only its request was without the cookie
  location.replace(back);
} else {
  await offered;
  document.body.dataset.ready = "";
}
