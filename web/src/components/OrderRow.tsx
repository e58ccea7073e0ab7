import { memo } from "react";

import { averagePrice, clock, price, quantity, words } from "../format";
import { describe, group, isCancelable, leaves } from "../state";
import type { Order } from "../types";

interface Props {
  order: Order;
  onCancel: (order: Order) => void;
}

export const OrderRow = memo(function OrderRow({ order, onCancel }: Props) {
  const kind = group(order);
  return (
    <tr className={`order order-${kind}`}>
      <td className="wide">
        <time dateTime={order.created_at}>{clock(order.created_at)}</time>
      </td>
      <th scope="row" className="symbol">
        {order.symbol}
      </th>
      <td className={order.side === "buy" ? "up" : "down"}>{order.side}</td>
      <td className="num">{quantity(order.qty)}</td>
      <td className="num">
        <span className="filled">
          {quantity(order.filled_qty)}
          <progress
            aria-label="Filled"
            // A bar's length needs no more than a number.
            max={Number(order.qty)}
            value={Number(order.filled_qty)}
          />
        </span>
      </td>
      <td className="num wide">{quantity(leaves(order))}</td>
      <td className="num">{order.limit_price === null ? "market" : price(order.limit_price)}</td>
      <td className="num wide">{averagePrice(order.filled_avg_price)}</td>
      <td className="wide">{order.time_in_force}</td>
      <td>
        <span className={`status status-${order.status}`}>{words(order.status)}</span>
      </td>
      <td className="reason">{order.reject_reason}</td>
      <td className="act">
        {isCancelable(order) && (
          <button className="cancel" aria-label={`Cancel ${describe(order)}`} onClick={() => onCancel(order)}>
            Cancel
          </button>
        )}
      </td>
    </tr>
  );
});
