// With which credential the page speaks: none where everybody is believed, else a service key, which
// shows both sides, or one user's token. It is kept for this tab only.

const KEPT = "imd.credential";

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch (error) {
    return null;
  }
}

/** The claims of a token, unverified: only to know whose side to show. */
function claimsOf(token) {
  try {
    const middle = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(middle), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    return null;
  }
}

export class Access {
  constructor(credential) {
    this.credential = credential || null;
    this.claims = credential && credential.split(".").length === 3 ? claimsOf(credential) : null;
    if (this.claims) im.setup({ token: credential });
    else if (credential) im.setup({ apiKey: credential });
  }

  static remembered() {
    return new Access(kept());
  }

  keep() {
    try {
      sessionStorage.setItem(KEPT, this.credential);
    } catch (error) {
      return; // it will be asked for again
    }
  }

  forget() {
    try {
      sessionStorage.removeItem(KEPT);
    } catch (error) {
      return;
    }
  }

  /** The only user that the page may be; null when it may be any. */
  get user() {
    return this.claims ? { id: String(this.claims.sub), role: this.claims.role } : null;
  }

  get headers() {
    if (!this.credential) return {};
    return this.claims ? { Authorization: `Bearer ${this.credential}` } : { "X-Api-Key": this.credential };
  }

  /** Options of `im.connect`: a service key opens no socket, so it obtains the user's token first. */
  socket(user, client_type, session_id) {
    const options = { client_type, user_id: user.user_id };
    if (session_id) options.session_id = session_id;
    if (this.claims) options.token = this.credential;
    else if (this.credential) {
      const role = client_type.startsWith("doctor") ? "doctor" : "patient";
      options.token = () => im.Users.login({ user_id: user.user_id, role }).then((answer) => answer.access_token);
    }
    return options;
  }
}
