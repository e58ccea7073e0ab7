import { memo } from "react";

import { clock } from "../format";
import type { Note } from "../state";

/** Fills, rejects and cancels as they happen, newest first; read aloud as they are added. */
export const Activity = memo(function Activity({ notes }: { notes: readonly Note[] }) {
  return (
    <section className="panel activity" aria-labelledby="activity-title">
      <div className="panel-head">
        <h2 id="activity-title">Activity</h2>
        <p className="hint">Since this page was opened</p>
      </div>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="activity-title">
        <div role="log" aria-live="polite" aria-relevant="additions" aria-label="Fills and rejects">
          {notes.map((note) => (
            <p key={note.key} className={`note note-${note.tone}`}>
              <time dateTime={note.at}>{clock(note.at)}</time>
              <span>{note.text}</span>
            </p>
          ))}
        </div>
        {notes.length === 0 && <p className="empty">Nothing yet</p>}
      </div>
    </section>
  );
});
