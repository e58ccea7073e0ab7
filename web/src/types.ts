/** What the gateway sends, as the page uses it: the Alpaca-shaped order entry. Numbers are decimal text. */

export interface Credentials {
  key_id: string;
  secret_key: string;
}

export type Side = "buy" | "sell";
export type OrderType = "market" | "limit";
export type TimeInForce = "day" | "ioc";

export interface Order {
  id: string;
  client_order_id: string;
  created_at: string;
  updated_at: string | null;
  symbol: string;
  side: Side;
  type: string;
  time_in_force: string;
  qty: string;
  filled_qty: string;
  filled_avg_price: string | null;
  limit_price: string | null;
  status: string;
  /** Which check refused it, with its values. */
  reject_reason?: string | null;
}

export interface OrderRequest {
  symbol: string;
  side: Side;
  qty: string;
  type: OrderType;
  time_in_force: TimeInForce;
  limit_price?: string;
  client_order_id: string;
}

export interface Position {
  symbol: string;
  qty: string;
  avg_entry_price: string;
  cost_basis: string;
  current_price: string | null;
}

export interface Account {
  account_number: string;
  status: string;
  cash: string;
  equity: string;
  buying_power: string;
  /** Set aside for open orders. Ours, as `reject_reason` and `previous_sequence` are. */
  reserved: string;
}

export interface Asset {
  symbol: string;
  price_increment: string;
}

export interface TradeUpdate {
  event: string;
  order: Order;
  timestamp: string;
  execution_id: string;
  price?: string;
  qty?: string;
  position_qty?: string;
  /** Why a cancel or an order was refused. */
  reason?: string;
  sequence: number;
  /** That of the account's update before this one: another than the last one seen means that some are missing. */
  previous_sequence: number;
}

/** Bid, its size, ask, its size. The only numbers that come as JSON numbers: prices are for showing. */
export interface QuoteBody {
  bp: number;
  bs: number;
  ap: number;
  as: number;
}

/** Price and size. */
export interface TradeBody {
  p: number;
  s: number;
}

export type QuoteMessage = QuoteBody & { T: "q"; S: string };
export type TradeMessage = TradeBody & { T: "t"; S: string };
