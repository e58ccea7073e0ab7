import { averagePrice, direction, gain, money, price, quantity } from "../format";
import type { Holdings } from "../holdings";
import type { Side } from "../types";

interface Props {
  held: Holdings;
  onPick: (symbol: string, side?: Side) => void;
}

export function Positions({ held, onPick }: Props) {
  return (
    <section className="panel positions" aria-labelledby="positions-title">
      <div className="panel-head">
        <h2 id="positions-title">Positions and cash</h2>
        <p className="hint">Valued at the last trade, live</p>
      </div>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="positions-title">
        <table>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col" className="num">
                Qty
              </th>
              <th scope="col" className="num">
                Average
              </th>
              <th scope="col" className="num wide">
                Mark
              </th>
              <th scope="col" className="num">
                Market value
              </th>
              <th scope="col" className="num">
                Unrealised
              </th>
            </tr>
          </thead>
          <tbody>
            {held.rows.map((row) => (
              <tr key={row.symbol} onClick={() => onPick(row.symbol)}>
                <th scope="row">
                  <button className="cell-button symbol" aria-label={`Trade ${row.symbol}`}>
                    {row.symbol}
                  </button>
                </th>
                <td className="num">{quantity(row.qty)}</td>
                <td className="num">{averagePrice(row.average)}</td>
                <td className="num wide">{price(row.mark)}</td>
                <td className="num">{money(row.value)}</td>
                <td className={`num ${toneOf(row.gain)}`}>{gain(row.gain)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {held.rows.length === 0 && <p className="empty">No positions</p>}
      </div>
      <dl className="totals">
        <Total name="Cash" value={money(held.cash)} />
        <Total name="Reserved for open buys" value={money(held.reserved)} />
        <Total name="Market value" value={money(held.value)} />
        <Total name="Unrealised" value={gain(held.gain)} tone={toneOf(held.gain)} />
      </dl>
    </section>
  );
}

function Total({ name, value, tone = "" }: { name: string; value: string; tone?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={tone}>{value}</dd>
    </div>
  );
}

function toneOf(amount: bigint | null): string {
  return ["down", "", "up"][direction(amount) + 1] ?? "";
}
