import { useEffect, useState } from "react";

import { demoCredentials, Unreachable } from "./api";
import { SignIn } from "./components/SignIn";
import { Trader } from "./components/Trader";
import { Desk } from "./desk";
import { forgetKeys, keepKeys, keptKeys } from "./keys";
import type { Credentials } from "./types";

/** How the page came to its keys: typed in (and kept for the tab), or given by the embedded demo. */
type Access =
  | { kind: "asking" }
  | { kind: "signed out"; problem: string | null }
  | { kind: "signed in"; keys: Credentials; typed: boolean };

export function App() {
  const [access, setAccess] = useState<Access>(() => {
    const keys = keptKeys();
    return keys ? { kind: "signed in", keys, typed: true } : { kind: "asking" };
  });

  useEffect(() => {
    if (access.kind !== "asking") return;
    let wanted = true;
    demoCredentials().then(
      (keys) => wanted && setAccess(keys ? { kind: "signed in", keys, typed: false } : { kind: "signed out", problem: null }),
      (error: unknown) => {
        if (!(error instanceof Unreachable)) throw error;
        if (wanted) setAccess({ kind: "signed out", problem: `${error.message}. Is Tradewind running?` });
      },
    );
    return () => {
      wanted = false;
    };
  }, [access.kind]);

  switch (access.kind) {
    case "asking":
      return null;
    case "signed out":
      return (
        <SignIn
          problem={access.problem}
          onSignedIn={(keys) => {
            keepKeys(keys);
            setAccess({ kind: "signed in", keys, typed: true });
          }}
        />
      );
    case "signed in":
      return (
        <WithDesk
          keys={access.keys}
          onSignOut={
            access.typed
              ? () => {
                  forgetKeys();
                  setAccess({ kind: "signed out", problem: null });
                }
              : null
          }
        />
      );
  }
}

function WithDesk({ keys, onSignOut }: { keys: Credentials; onSignOut: (() => void) | null }) {
  const [desk, setDesk] = useState<Desk | null>(null);
  useEffect(() => {
    const opened = new Desk(keys);
    setDesk(opened);
    return () => opened.stop();
  }, [keys]);
  return desk && <Trader desk={desk} onSignOut={onSignOut} />;
}
