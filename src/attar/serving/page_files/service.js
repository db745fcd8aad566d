// The service's routes, with the key if there is one, and its errors in words.
import { N_, t } from "./messages.js";

let key = "";
export const setKey = (value) => { key = value.trim(); };

/** An error reply: its code is stable, its message the service's own. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

const WORDS = {
  unauthorized: N_("The key is missing or wrong."),
  busy: N_("The service is busy; try again in a moment."),
  timeout: N_("The service did not answer in time; try again in a moment."),
  too_long: N_("The text is too long for this service."),
  empty_text: N_("There is no text."),
  empty_term: N_("Name a term."),
  term_not_found: N_("The text does not hold the term."),
  invalid_text: N_("The text holds half of a character; type it again."),
  too_many_mentions: N_("The terms occur too often; take some out."),
  body_too_large: N_("This is longer than the service takes."),
  no_such_model: N_("The service no longer has this model; reload the page."),
  no_such_file: N_("The service has removed the file; upload it again."),
  too_many_files: N_("The service holds too many files now; try again later."),
  no_space: N_("The service has no space for the file now."),
  unreachable: N_("The service does not answer."),
};

/** What to tell people about an error. */
export const words = (error) => (error.code in WORDS ? t(WORDS[error.code]) : error.message);

/** Ask a route; the response, or Refused. */
export async function ask(path, { method = "GET", body, signal, keepalive } = {}) {
  const headers = key ? { Authorization: "Bearer " + key } : {};
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { method, headers, body, signal, keepalive });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", error.message);
  }
  if (response.ok) return response;
  const reply = await response.json().catch(() => ({}));
  throw new Refused(response.status, reply.code || "", reply.message || response.statusText);
}

export const json = async (path, options) => (await ask(path, options)).json();

/** An upload with its progress, which fetch does not tell. */
export function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", new URL(path, document.baseURI));
    if (key) request.setRequestHeader("Authorization", "Bearer " + key);
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    request.onerror = () => reject(new Refused(0, "unreachable", ""));
    request.onload = () => {
      let reply = {};
      try { reply = JSON.parse(request.responseText); } catch { /* a proxy's page */ }
      if (request.status === 201) resolve(reply);
      else reject(new Refused(request.status, reply.code || "", reply.message || request.statusText));
    };
    request.send(file);
  });
}
