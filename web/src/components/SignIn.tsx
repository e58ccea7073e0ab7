import { type FormEvent, useState } from "react";

import { Api, Refused, Unreachable } from "../api";
import type { Credentials } from "../types";

interface Props {
  problem: string | null;
  onSignedIn: (keys: Credentials) => void;
}

/** Asks for the account's two keys and tries them before it lets anyone in. */
export function SignIn({ problem, onSignedIn }: Props) {
  const [said, setSaid] = useState(problem);
  const [busy, setBusy] = useState(false);

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const keys = { key_id: String(form.get("key_id")).trim(), secret_key: String(form.get("secret_key")).trim() };
    setBusy(true);
    try {
      await new Api(keys).account();
      onSignedIn(keys);
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      setSaid(error.message);
      setBusy(false);
    }
  }

  return (
    <main className="sign-in">
      <form className="panel" onSubmit={(event) => void signIn(event)}>
        <h1>Tradewind</h1>
        <label className="field">
          <span>Key id</span>
          <input name="key_id" autoComplete="username" spellCheck={false} required />
        </label>
        <label className="field">
          <span>Secret key</span>
          <input name="secret_key" type="password" autoComplete="current-password" required />
        </label>
        <button className="send" disabled={busy}>
          Sign in
        </button>
        <p className="hint">The keys stay in this tab and are gone when it closes.</p>
        <p className="sign-in-problem" role="alert">
          {said}
        </p>
      </form>
    </main>
  );
}
