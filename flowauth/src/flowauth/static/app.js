// Add what plain forms lack: branch tick boxes, copying, the dialog, the warning before a session ends.
"use strict";

// The page brings the texts in its language.
const words = JSON.parse(document.body.dataset.words);
const say = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

const announce = (text) => {
  const place = document.getElementById("announcer");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
};

/* Scope trees. Leaves submit by themselves; a branch's box only ticks the leaves below it. */

const leavesBelow = (branch) => [...branch.querySelectorAll("li[data-leaf] input")];

// A search hides leaves. A branch's box acts on visible leaves; the count includes hidden leaves.
const shownBelow = (branch) => [...branch.querySelectorAll("li[data-leaf]:not([hidden]) input")];

const tickedOf = (leaves) => leaves.filter((leaf) => leaf.checked).length;

// The box stands beside the summary, because assistive technology cannot reach a control within a control.
const boxOf = (branch) => branch.parentElement.querySelector(":scope > [data-branch-box]");

const showState = (branch) => {
  const box = boxOf(branch);
  const shown = shownBelow(branch);
  const leaves = leavesBelow(branch);
  const ticked = tickedOf(shown);
  box.checked = ticked > 0 && ticked === shown.length;
  box.indeterminate = ticked > 0 && ticked < shown.length;
  branch.querySelector(":scope > summary > [data-branch-count]").textContent = say(words.count, { some: tickedOf(leaves), all: leaves.length });
};

const showStatesAbove = (element) => {
  for (let branch = element.closest("[data-branch]"); branch; branch = branch.parentElement.closest("[data-branch]")) {
    showState(branch);
  }
};

const prepareChoice = (tree) => {
  for (const box of tree.querySelectorAll("[data-branch-box]")) {
    box.hidden = false;
    box.checked = box.dataset.state === "all";
    box.indeterminate = box.dataset.state === "some";
  }
  tree.addEventListener("change", (event) => {
    if (event.target.matches("[data-branch-box]")) {
      // A mixed box becomes ticked when clicked, so that mixed turns into all.
      const branch = event.target.parentElement.querySelector(":scope > [data-branch]");
      shownBelow(branch).forEach((leaf) => { leaf.checked = event.target.checked; });
      branch.querySelectorAll("[data-branch]").forEach(showState);
      showState(branch);
    }
    showStatesAbove(event.target);
  });
};

const prepareSearch = (tree) => {
  const tools = tree.querySelector("[data-tree-tools]");
  if (!tools) return;
  tools.hidden = false;
  const leaves = [...tree.querySelectorAll("li[data-leaf]")];
  const branches = [...tree.querySelectorAll("[data-branch]")];
  const field = tools.querySelector("[data-tree-search]");
  const search = () => {
    const asked = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const leaf of leaves) {
      const text = leaf.dataset.leaf.toLowerCase();
      leaf.hidden = !asked.every((word) => text.includes(word));
      found += !leaf.hidden;
    }
    for (const branch of branches) {
      const any = branch.querySelector("li[data-leaf]:not([hidden])") !== null;
      branch.parentElement.hidden = !any;
      // Opening many branches would lay out the whole tree.
      branch.open = asked.length > 0 && any && found <= 200;
      if (boxOf(branch)) showState(branch);
    }
    tools.querySelector("[data-tree-count]").textContent = asked.length ? say(words.found, { some: found, all: leaves.length }) : "";
  };
  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
};

for (const tree of document.querySelectorAll("[data-tree]")) {
  if (tree.classList.contains("tree-choice")) prepareChoice(tree);
  prepareSearch(tree);
}

/* Collapsed lists of boxes */

for (const picks of document.querySelectorAll("[data-picks]")) {
  const labels = [...picks.querySelectorAll("label")];
  const count = picks.querySelector("[data-picks-count]");
  picks.addEventListener("change", () => {
    const ticked = labels.filter((label) => label.querySelector("input").checked).length;
    count.textContent = say(words.count, { some: ticked, all: labels.length });
  });
  const field = picks.querySelector("[data-picks-search]");
  if (!field) continue;
  field.hidden = false;
  field.addEventListener("input", () => {
    const asked = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const label of labels) {
      const text = label.textContent.toLowerCase();
      label.hidden = !asked.every((word) => text.includes(word));
    }
  });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
}

for (const place of document.querySelectorAll("[data-select-all]")) {
  place.hidden = false;
  place.querySelector("button").addEventListener("click", () => {
    const boxes = [...document.querySelectorAll(`input[name="${place.dataset.selectAll}"]:not(:disabled)`)];
    boxes.forEach((box) => { box.checked = true; });
    if (boxes.length) boxes[0].dispatchEvent(new Event("change", { bubbles: true }));
  });
}

/* Copying */

const showDialog = () => {
  const dialog = document.getElementById("dialog");
  if (!dialog.open) dialog.showModal();
  const text = dialog.querySelector("textarea");
  if (text) text.select();
};

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "dialog-content") showDialog();
});

// The text of a token leaves the page with the dialog.
document.getElementById("dialog").addEventListener("close", () => {
  document.getElementById("dialog-content").replaceChildren();
});

const said = (button, text) => {
  const before = button.textContent;
  button.textContent = text;
  announce(text);
  setTimeout(() => { button.textContent = before; }, 2000);
};

for (const form of document.querySelectorAll("form[data-copy]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const reply = await fetch(form.action, {
      method: "POST", body: new FormData(form), headers: { "HX-Request": "true" },
    });
    const target = reply.headers.get("HX-Redirect");
    if (target) { window.location.assign(target); return; }
    const content = document.getElementById("dialog-content");
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const text = page.querySelector("textarea");
    try {
      if (!text) throw new Error("refused");
      await navigator.clipboard.writeText(text.value);
      said(form.querySelector("button"), words.copied);
    } catch {
      // Browsers deny the clipboard over plain HTTP, so show the text selected for copying by hand.
      content.replaceChildren(...page.body.childNodes);
      showDialog();
    }
  });
}

const textOf = (selector) => {
  const element = document.querySelector(selector);
  const items = [...element.querySelectorAll("li")];
  return items.length ? items.map((item) => item.textContent.trim()).join("\n") + "\n" : element.textContent;
};

for (const element of document.querySelectorAll("[data-with-script]")) element.hidden = false;

// The way on opens once something is copied or downloaded.
for (const link of document.querySelectorAll("a[data-after-keeping]")) {
  const address = link.getAttribute("href");
  link.removeAttribute("href");
  link.setAttribute("role", "link");
  link.setAttribute("aria-disabled", "true");
  for (const button of document.querySelectorAll("[data-copy-from], [data-download-from]")) {
    button.addEventListener("click", () => {
      link.href = address;
      link.removeAttribute("aria-disabled");
    });
  }
}

for (const button of document.querySelectorAll("[data-copy-from]")) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(textOf(button.dataset.copyFrom));
      said(button, words.copied);
    } catch {
      getSelection().selectAllChildren(document.querySelector(button.dataset.copyFrom));
      announce(words.selected);
    }
  });
}

for (const button of document.querySelectorAll("[data-download-from]")) {
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([textOf(button.dataset.downloadFrom)], { type: "text/plain" }));
    link.download = button.dataset.file;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

/* A random password for a new user, shown so that it can be passed on */

for (const field of document.querySelectorAll("[data-generate]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = words.generate;
  const row = document.createElement("div");
  row.className = "with-button";
  field.replaceWith(row);
  row.append(field, button);
  button.addEventListener("click", () => {
    const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    // Skip bytes beyond the last whole multiple, because they would favour the first letters.
    const fair = 256 - (256 % letters.length);
    let password = "";
    while (password.length < Number(field.dataset.generate)) {
      const [byte] = crypto.getRandomValues(new Uint8Array(1));
      if (byte < fair) password += letters[byte % letters.length];
    }
    field.type = "text";
    field.value = password;
    field.select();
  });
}

/* Warn two minutes before the session ends and offer to stay */

const WARNED_FOR = 2 * 60000;
const lasting = document.body.dataset.sessionSeconds;
if (lasting) {
  const notice = document.createElement("p");
  notice.className = "notice warning session-end";
  notice.setAttribute("role", "status");
  const line = document.createElement("span");
  const stay = document.createElement("button");
  stay.className = "quiet";
  notice.append(line, " ", stay);
  // Store the end time instead of a countdown, because timers stop while a machine sleeps.
  let end;
  const show = () => {
    const left = end - Date.now();
    if (left > WARNED_FOR) { notice.remove(); return; }
    const minutes = Math.ceil(left / 60000);
    const text = left <= 0 ? words.ended
      : minutes === 1 ? words.ending_soon : say(words.ending, { minutes });
    if (line.textContent !== text) line.textContent = text;
    stay.textContent = left <= 0 ? words.again : words.stay;
    if (!notice.isConnected) document.body.append(notice);
  };
  const lasts = (seconds) => { end = Date.now() + Number(seconds) * 1000; show(); };
  stay.addEventListener("click", async () => {
    const reply = await fetch("/account", { headers: { "HX-Request": "true" } });
    const seconds = reply.headers.get("X-Session-Seconds");
    // Without a session, this page's address leads to the sign-in form and back.
    if (seconds === null) window.location.assign(document.body.dataset.back || window.location.pathname + window.location.search);
    else lasts(seconds);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const seconds = event.detail.xhr && event.detail.xhr.getResponseHeader("X-Session-Seconds");
    if (seconds) lasts(seconds);
  });
  lasts(lasting);
  setInterval(show, 5000);
}
