import { memo } from "react";

import type { Quote, Quotes, Tick } from "../board";
import { price, quantity } from "../format";
import type { Side } from "../types";

interface Props {
  quotes: Quotes;
  /** False while prices are late or cut off: then the table says so, and does not look alive. */
  live: boolean;
  selected: string;
  onPick: (symbol: string, side?: Side) => void;
}

export function QuoteTable({ quotes, live, selected, onPick }: Props) {
  return (
    <section className="panel quotes" data-live={live} aria-labelledby="quotes-title">
      <div className="panel-head">
        <h2 id="quotes-title">Quotes</h2>
        <p className={live ? "hint" : "warn"}>{live ? "Click a bid to sell at it, an ask to buy" : "Prices are not live"}</p>
      </div>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="quotes-title">
        <table>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col" className="num">
                Size
              </th>
              <th scope="col" className="num">
                Bid
              </th>
              <th scope="col" className="num">
                Ask
              </th>
              <th scope="col" className="num">
                Size
              </th>
              <th scope="col" className="num">
                Last
              </th>
            </tr>
          </thead>
          <tbody>
            {[...quotes.values()].map((quote) => (
              <QuoteRow key={quote.symbol} quote={quote} selected={quote.symbol === selected} onPick={onPick} />
            ))}
          </tbody>
        </table>
        {quotes.size === 0 && <p className="empty">Waiting for the first prices</p>}
      </div>
    </section>
  );
}

interface RowProps {
  quote: Quote;
  selected: boolean;
  onPick: Props["onPick"];
}

const QuoteRow = memo(function QuoteRow({ quote, selected, onPick }: RowProps) {
  const { symbol } = quote;
  return (
    <tr className={selected ? "selected" : undefined} onClick={() => onPick(symbol)}>
      <th scope="row">
        <button className="cell-button symbol" aria-pressed={selected} aria-label={`Trade ${symbol}`}>
          {symbol}
        </button>
      </th>
      <td className="num dim">{quantity(quote.bidSize)}</td>
      <td className="num">
        <PriceButton tick={quote.bid} label={`Sell ${symbol} at the bid`} onTake={() => onPick(symbol, "sell")} />
      </td>
      <td className="num">
        <PriceButton tick={quote.ask} label={`Buy ${symbol} at the ask`} onTake={() => onPick(symbol, "buy")} />
      </td>
      <td className="num dim">{quantity(quote.askSize)}</td>
      <td className="num last">
        <Flash tick={quote.last} />
      </td>
    </tr>
  );
});

/** For the mouse; by keyboard the side is B or S, so these stay out of the tab order. */
function PriceButton({ tick, label, onTake }: { tick: Tick; label: string; onTake: () => void }) {
  return (
    <button
      className="cell-button price-button"
      tabIndex={-1}
      title={label}
      onClick={(event) => {
        event.stopPropagation();
        onTake();
      }}
    >
      <Flash tick={tick} />
    </button>
  );
}

/** A new key is a new element, which starts its animation afresh. */
function Flash({ tick }: { tick: Tick }) {
  const way = tick.move > 0 ? "up" : tick.move < 0 ? "down" : "still";
  return (
    <span key={tick.changes} className={`flash flash-${way}`}>
      {price(tick.value)}
    </span>
  );
}
