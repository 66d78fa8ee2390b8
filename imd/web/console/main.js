// The page: who is shown is chosen by ?doctor=&patient=&session=, by default the demo's.

import { Access } from "./access.js";
import { complain } from "./dialogs.js";
import { fill, h, iconButton, tabs } from "./dom.js";
import { DoctorSide } from "./doctor.js";
import { Figures } from "./figures.js";
import { askCredential, offerDemo } from "./gate.js";
import { PatientSide } from "./patient.js";
import { lang, t } from "./words.js";

// the people of `imdctl demo`
const DEMO = { doctor: "D2016008240003", patient: "P3502010001", session: "P3502010001_T0601_2" };

const place = document.getElementById("app");
const query = new URLSearchParams(location.search);

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
document.title = t("title");

/** The user, or null where the directory knows none of that id. */
async function find(user_id) {
  try {
    const user = await im.Users.getUser({ user_id });
    return Object.assign(user, { user_id: user.id });
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Asks for a credential until one is good, where the server wants one at all. */
async function admitted() {
  let access = Access.remembered();
  for (;;) {
    const probe = access.user ? access.user.id : query.get("doctor") || DEMO.doctor;
    try {
      return { access, found: await find(probe) };
    } catch (error) {
      if (error.status !== 401 && error.status !== 403) throw error;
      const wrong = Boolean(access.credential);
      access.forget();
      access = new Access(await askCredential(place, wrong));
      access.keep();
    }
  }
}

async function start() {
  const { access, found } = await admitted();
  const own = access.user;
  if (own) {
    const user = found || { user_id: own.id };
    return own.role === "doctor" ? show(access, user, null) : show(access, null, user);
  }
  if (!found) return offerDemo(place, query.get("doctor"), !access.credential);
  const wanted = query.get("patient");
  const patient = await find(wanted || DEMO.patient);
  if (wanted && !patient) return offerDemo(place, wanted, false);
  return show(access, found, patient);
}

async function show(access, doctorUser, patientUser) {
  const figures = new Figures(access);
  const sides = h("main", { class: "sides" });
  const switcher = tabs(t("brand"), [["doctor", t("doctor")], ["patient", t("patient")], ["figures", t("figures")]], (key) => {
    document.body.dataset.side = key;
  });
  switcher.bar.classList.add("switcher");
  for (const key of ["doctor", "patient"]) switcher.button(key).append(h("span", { class: "badge", hidden: true }));
  const badge = (key) => (number) => {
    const node = switcher.button(key).querySelector(".badge");
    node.hidden = !number;
    node.textContent = number > 99 ? "99+" : String(number);
  };
  fill(place, h("a", { class: "skip", href: "#doctor", text: t("skip") }), topBar(figures), h("div", { class: "stage" }, sides, figures.node), switcher.bar);
  document.body.classList.toggle("alone", !doctorUser || !patientUser);

  let current = null;
  async function showPatient(user, session) {
    const former = current;
    const side = former && former.user.user_id === user.user_id ? former : new PatientSide({ access, user, onread: badge("patient") });
    current = side;
    if (side !== former) {
      if (former) {
        former.end();
        former.node.replaceWith(side.node);
      } else sides.append(side.node);
      await side.start();
    }
    if (!session || (side.talk.session && side.talk.session.id === session)) return;
    const found = await side.sessions.find(session);
    if (side === current) await side.open(found);
  }

  const chosen = query.get("session");
  // Whom the address names stays, until the doctor opens another conversation.
  let named = Boolean(query.get("patient"));
  if (doctorUser) {
    const doctor = new DoctorSide({ access, user: doctorUser, onread: badge("doctor"),
      onpatient: (member, session) => {
        const stays = named;
        named = false;
        if (access.user || stays) return;
        find(member.participant_id).then((user) => user && showPatient(user, session.id)).catch(complain);
      } });
    sides.prepend(doctor.node);
    await doctor.start();
    const first = await firstOf(doctor.sessions, chosen);
    // A phone begins with the list, unless the address names a session.
    if (first && (chosen || !matchMedia("(max-width: 759px)").matches)) doctor.open(first).catch(complain);
  }
  switcher.pick(doctorUser ? "doctor" : "patient");
  figures.start();
  if (patientUser) await showPatient(patientUser, await sessionOf(patientUser, chosen || DEMO.session));
}

async function firstOf(list, chosen) {
  const wanted = chosen || (list.get(DEMO.session) ? DEMO.session : null);
  try {
    return wanted ? await list.find(wanted) : list.all[0];
  } catch (error) {
    if (chosen) complain(error);
    return list.all[0];
  }
}

/** The session when the user is in it, else null. */
async function sessionOf(user, session_id) {
  try {
    return (await im.Sessions.getSession({ session_id, user_id: user.user_id })).id;
  } catch (error) {
    return null;
  }
}

function topBar(figures) {
  const other = new URL(location.href);
  other.searchParams.set("lang", lang === "zh" ? "en" : "zh");
  return h("header", { class: "top" },
    h("div", { class: "brand" }, h("img", { src: "/console/icon.svg", alt: "", width: "26", height: "26" }), h("h1", { text: t("brand") })),
    figures.strip,
    h("div", { class: "top-tools" },
      h("a", { class: "lang", href: other.pathname + other.search, hreflang: lang === "zh" ? "en" : "zh", text: t("otherLang") }),
      iconButton("sun", t("theme"), changeTheme)));
}

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("imd.theme", root.dataset.theme);
  } catch (error) {
    return; // it lasts as long as the page
  }
}

start().catch((error) => {
  fill(place, h("main", { class: "gate" }, h("div", { class: "gate-card" }, h("h1", { text: t("brand") }), h("p", { class: "gate-wrong", role: "alert", text: error.message }), h("button", { type: "button", class: "strong", text: t("reconnect"), onclick: () => location.reload() }))));
});
