// The project's own API, /api/v1. Errors come as ApiError with the server's sentence; who is not logged in goes to log in.
import { $ } from "./dom.js";

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const root = "/api/v1";

/** "/jobs/words@2026…" with every part encoded: path("jobs", name, "tasks", "map:3"). */
export const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");
export const url = (where) => root + where;

async function answer(response) {
  if (response.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const { code = "unknown", message = `The server answered ${response.status}` } = body.error || {};
  throw new ApiError(response.status, code, message);
}

/** GET. `query`: null, undefined and "" are left out. */
export async function get(where, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  return answer(await reached(fetch(root + where + search, { headers: { Accept: "application/json" } })));
}

/** An action. A token that a restarted master does not know any more is renewed once. */
export async function post(where, again = true) {
  const meta = $('meta[name="csrf-token"]');
  const request = fetch(root + where, { method: "POST", headers: { "X-CSRF-Token": meta.content } });
  try {
    return await answer(await reached(request));
  } catch (error) {
    if (error.code !== "csrf" || !again) throw error;
    meta.content = (await get("/session")).csrf;
    return post(where, false);
  }
}

async function reached(request) {
  try {
    return await request;
  } catch {
    throw new ApiError(0, "offline", "The master cannot be reached; is it running?");
  }
}
