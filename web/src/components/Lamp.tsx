import { useEffect, useState } from "react";

import type { LinkStatus } from "../link";

interface Props {
  name: string;
  status: LinkStatus;
}

/** A stream's health in shape and words, not in colour alone. */
export function Lamp({ name, status }: Props) {
  return (
    <p className="lamp" role="status" aria-label={`${name} stream`} data-state={status.state} title={status.reason ?? undefined}>
      <span className="lamp-light" aria-hidden="true" />
      {name} <span className="lamp-state">{status.state}</span>
      {status.state === "stale" && <Age since={status.lastDataAt} />}
    </p>
  );
}

/** Counts the silence, for the eye: read aloud each second it would drown everything else. */
function Age({ since }: { since: number | null }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  if (since === null) return null;
  return <span aria-hidden="true"> {Math.max(0, Math.round((now - since) / 1_000))} s</span>;
}
