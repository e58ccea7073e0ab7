import type { Outcome } from "../desk";
import { describe, progress } from "../state";
import type { Order, OrderRequest } from "../types";

/** What was sent last, and what came of it. */
export interface Sent {
  request: OrderRequest;
  outcome: Outcome;
  content: string;
}

interface Props {
  sent: Sent | null;
  /** The order as it stands now, once the server has it. */
  order: Order | undefined;
}

/** The answer beside the ticket: a refusal in the server's own words, else where the order has got to. */
export function SendResult({ sent, order }: Props) {
  return (
    <div className="result" role="status" aria-label="Last order">
      {sent && <Answer sent={sent} order={order} />}
    </div>
  );
}

function Answer({ sent: { request, outcome }, order }: { sent: Sent; order: Order | undefined }) {
  const what = describe({ ...request, limit_price: request.limit_price ?? null });
  if (outcome.kind === "refused") {
    return (
      <p className="result-bad">
        <strong>Rejected:</strong> {what}. {sentence(outcome.message)}
      </p>
    );
  }
  if (outcome.kind === "unknown" && !order) {
    return (
      <p className="result-warn">
        <strong>No answer:</strong> {what} may or may not have arrived. Sending it again is safe: it keeps its order id, so
        it cannot become two.
      </p>
    );
  }
  const now = order ?? (outcome.kind === "accepted" ? outcome.order : undefined);
  if (!now) return null;
  const bad = now.status === "rejected";
  return (
    <p className={bad ? "result-bad" : "result-good"}>
      <strong>{bad ? "Rejected:" : "Sent:"}</strong> {what}. {sentence(now.reject_reason ?? progress(now))}
    </p>
  );
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
