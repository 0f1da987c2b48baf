// Say what is wrong with a form, and bring a form back as it was left after signing in again.
"use strict";

(() => {
  const texts = JSON.parse(document.body.dataset.words);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const forms = [...document.querySelectorAll("main form[method=post]")];

  /* Errors: browsers show one at a time, in their own words and without the format. The server tells all at once. */

  const labelOf = (field) => (field.labels && field.labels.length ? field.labels[0].textContent.trim() : field.name);

  const moment = (value) => value.replace("T", " ");

  const messageOf = (field) => {
    const is = field.validity;
    const show = field.type === "datetime-local" ? moment : (value) => value;
    if (is.valueMissing) return texts.missing;
    if (is.patternMismatch && field.title) return `${field.title}.`;
    if (is.tooShort) return fill(texts.short, { min: field.minLength });
    if ((is.rangeUnderflow || is.rangeOverflow || is.badInput || is.stepMismatch) && field.min && field.max) {
      return fill(field.type === "number" ? texts.between : texts.within, { min: show(field.min), max: show(field.max) });
    }
    if (is.rangeUnderflow) return fill(texts.least, { min: show(field.min) });
    return field.validationMessage;
  };

  const placeOf = (field) => field.closest(".field") || field.parentElement;

  const clear = (field) => {
    const told = document.getElementById(`${field.id}-wrong`);
    if (told) told.remove();
    placeOf(field).classList.remove("wrong");
    field.removeAttribute("aria-invalid");
    const described = (field.getAttribute("aria-describedby") || "").split(/\s+/);
    field.setAttribute("aria-describedby", described.filter((id) => id && id !== `${field.id}-wrong`).join(" "));
  };

  const tell = (field) => {
    clear(field);
    const told = document.createElement("p");
    told.className = "wrong-text";
    told.id = `${field.id}-wrong`;
    told.textContent = messageOf(field);
    const place = placeOf(field);
    place.classList.add("wrong");
    const before = field.closest(".with-button") || field;
    before.before(told);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby") || ""} ${told.id}`.trim());
  };

  const summarise = (form, entries) => {
    form.querySelectorAll(":scope > .summary").forEach((old) => old.remove());
    const summary = document.createElement("div");
    summary.className = "notice error summary";
    summary.tabIndex = -1;
    summary.setAttribute("role", "alert");
    const line = document.createElement("p");
    line.textContent = texts.check;
    const list = document.createElement("ul");
    for (const [field, message] of entries) {
      const link = document.createElement("a");
      link.href = `#${field.id}`;
      link.textContent = `${labelOf(field)}: ${message}`;
      link.addEventListener("click", (event) => { event.preventDefault(); field.focus(); });
      const item = document.createElement("li");
      item.append(link);
      list.append(item);
    }
    summary.append(line, list);
    form.prepend(summary);
    if (!document.title.startsWith(texts.error)) document.title = texts.error + document.title;
    summary.focus();
  };

  // A text that appears while a button is being pressed would move the button away from under the pointer.
  let isPressed = false;
  const waiting = [];
  document.addEventListener("pointerdown", () => { isPressed = true; }, true);
  for (const released of ["pointerup", "pointercancel"]) {
    document.addEventListener(released, () => {
      isPressed = false;
      setTimeout(() => waiting.splice(0).forEach((say) => say()));
    }, true);
  }

  // What the server's answer cannot bring back: passwords, files, half a date.
  const wouldBeLost = (field) => field.validity.badInput || (["password", "file"].includes(field.type) && field.value);

  const checked = (form) => [...form.elements].filter((field) => field.id && field.willValidate && field.type !== "checkbox");

  for (const form of forms) {
    const fields = checked(form);
    if (!fields.length) continue;
    form.noValidate = true;
    form.addEventListener("submit", (event) => {
      if (event.submitter && event.submitter.formNoValidate) return;
      if (!fields.some(wouldBeLost)) return;
      const wrong = fields.filter((field) => !field.validity.valid);
      fields.filter((field) => field.validity.valid && field.hasAttribute("aria-invalid")).forEach(clear);
      if (!wrong.length) return;
      event.preventDefault();
      wrong.forEach(tell);
      summarise(form, wrong.map((field) => [field, messageOf(field)]));
    });
    for (const field of fields) {
      // Nothing is said while somebody still types.
      const say = () => { if (field.value && !field.validity.valid) tell(field); };
      field.addEventListener("change", () => { if (isPressed) waiting.push(say); else say(); });
      field.addEventListener("input", () => { if (field.hasAttribute("aria-invalid") && field.validity.valid) clear(field); });
    }
  }

  /* Drafts: what somebody had typed when the session ended. It stays in this tab, for the same user, without secrets. */

  const KEY = "draft";
  const user = document.body.dataset.user;
  const address = window.location.pathname + window.location.search;

  // `shown` is the state that the form was made from; it tells the server what somebody else changed meanwhile.
  const isKept = (field) => field.name && !field.readOnly && !["file", "password", "submit", "button"].includes(field.type)
    && !/password|one-time-code/.test(field.autocomplete) && (field.type !== "hidden" || field.name === "shown");

  const isChanged = (field) => (field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
    : field.options ? [...field.options].some((option) => option.selected !== option.defaultSelected)
      : field.type !== "hidden" && field.value !== field.defaultValue);

  const contentOf = (form) => {
    const kept = [...form.elements].filter(isKept);
    return kept.some(isChanged) || form.querySelector(".wrong") ? kept.map((field) => [
      field.name, field.type === "checkbox" ? field.value : null, field.type === "checkbox" ? field.checked : field.value,
    ]) : null;
  };

  const put = (form, content) => {
    const fields = [...form.elements].filter(isKept);
    const changed = [];
    for (const [name, value, state] of content) {
      const field = fields.find((one) => one.name === name && (value === null || one.value === value));
      if (!field) continue;
      const property = value === null ? "value" : "checked";
      if (field[property] === state) continue;
      field[property] = state;
      changed.push(field);
    }
    changed.forEach((field) => field.dispatchEvent(new Event("change", { bubbles: true })));
    return changed;
  };

  // A browser may forbid storage; then nothing is kept.
  const store = { get: () => { try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; } },
    set: (draft) => { try { sessionStorage.setItem(KEY, JSON.stringify(draft)); } catch { /* full or forbidden */ } },
    drop: () => { try { sessionStorage.removeItem(KEY); } catch { /* forbidden */ } } };

  const draft = store.get();
  if (user === undefined) {
    // Nobody is signed in: the form of this tab waits for its user.
    const next = document.querySelector("main form input[name=next]");
    if (draft) {
      store.set({ ...draft, waits: true });
      if (next) next.value = draft.address;
    }
  } else {
    const isHere = draft && draft.waits && draft.user === user && draft.address === address;
    // A form that was sent needs no draft, and nobody gets the draft of another user.
    if (draft && (isHere || !draft.waits || draft.user !== user)) store.drop();
    if (isHere) {
      window.addEventListener("load", () => {
        const left = [...forms];
        const changed = draft.forms.flatMap(([action, content]) => {
          const number = left.findIndex((form) => form.getAttribute("action") === action);
          const [form] = number < 0 ? [] : left.splice(number, 1);
          return form && content ? put(form, content) : [];
        });
        if (!changed.length) return;
        const notice = document.createElement("p");
        notice.className = "notice";
        notice.textContent = texts.restored;
        document.querySelector(".notices").append(notice);
      });
    }
    let leaves = false;
    for (const form of document.querySelectorAll("form[data-forget]")) form.addEventListener("submit", () => { leaves = true; });
    window.addEventListener("pagehide", () => {
      if (leaves) { store.drop(); return; }
      const contents = forms.map((form) => [form.getAttribute("action"), contentOf(form)]);
      if (contents.some(([, content]) => content)) {
        store.set({ user, address: document.body.dataset.back || address, forms: contents, waits: false });
      }
    });
  }
})();
