/**
 * A filter expression as closures. Three-valued, as SQL has it: what compares a property that a
 * message does not have, or a number with what is none, is neither true nor false, and stays so
 * under NOT.
 */
import type { Expression, Operand, Order, TextTest } from './expression.ts';
import type { MessageFields } from './message-fields.ts';

/** null = unknown. */
export type Truth = boolean | null;
export type Condition = () => Truth;

const NUMBER = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
/** No number is written longer. */
const NUMBER_LENGTH_MAX = 400;

const ORDERS: Readonly<Record<Order, (left: number, right: number) => boolean>> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

const TEXT_TESTS: Readonly<Record<TextTest, (text: string, part: string) => boolean>> = {
  CONTAINS: (text, part) => text.includes(part),
  STARTSWITH: (text, part) => text.startsWith(part),
  ENDSWITH: (text, part) => text.endsWith(part),
};

export function conditionOf(expression: Expression, fields: MessageFields): Condition {
  switch (expression.type) {
    case 'constant':
      return () => expression.value;
    case 'isNull':
      return () => !fields.has(expression.field);
    case 'equal':
      return equal(expression.left, expression.right, fields);
    case 'order':
      return ordered(expression.order, expression.left, expression.right, fields);
    case 'in': {
      const texts = new Set(expression.texts);
      return ofText(expression.field, fields, (text) => texts.has(text));
    }
    case 'text': {
      const test = TEXT_TESTS[expression.test];
      return ofText(expression.field, fields, (text) => test(text, expression.text));
    }
    case 'not': {
      const condition = conditionOf(expression.of, fields);
      return () => negated(condition());
    }
    case 'and':
    case 'or': {
      const conditions = expression.of.map((one) => conditionOf(one, fields));
      return joined(conditions, expression.type === 'or');
    }
  }
}

function negated(truth: Truth): Truth {
  return truth === null ? null : !truth;
}

/** One that is `decisive` decides; else one that is unknown leaves it unknown. */
function joined(conditions: readonly Condition[], decisive: boolean): Condition {
  return () => {
    let found: Truth = !decisive;
    for (const condition of conditions) {
      const truth = condition();
      if (truth === decisive) return decisive;
      if (truth === null) found = null;
    }
    return found;
  };
}

function ofText(field: number, fields: MessageFields, test: (text: string) => Truth): Condition {
  return () => {
    const text = fields.text(field);
    return text === null ? null : test(text);
  };
}

function equal(left: Operand, right: Operand, fields: MessageFields): Condition {
  if (left.type !== 'field') return equal(right, left, fields);
  const { field } = left;
  switch (right.type) {
    case 'text':
      return ofText(field, fields, (text) => text === right.value);
    case 'boolean':
      return ofText(field, fields, (text) => isSame(booleanOf(text), right.value));
    case 'number':
      return ofText(field, fields, (text) => isSame(numberOf(text), right.value));
    case 'field':
      return ofText(field, fields, (text) => isSame(fields.text(right.field), text));
  }
}

function isSame<Value>(found: Value | null, wanted: Value): Truth {
  return found === null ? null : found === wanted;
}

function ordered(order: Order, left: Operand, right: Operand, fields: MessageFields): Condition {
  const compare = ORDERS[order];
  const leftOf = numberIn(left, fields);
  const rightOf = numberIn(right, fields);
  return () => {
    const one = leftOf();
    const other = rightOf();
    return one === null || other === null ? null : compare(one, other);
  };
}

function numberIn(operand: Operand, fields: MessageFields): () => number | null {
  if (operand.type === 'number') return () => operand.value;
  if (operand.type !== 'field') throw new TypeError(`${operand.type} has no order`);
  return () => {
    const text = fields.text(operand.field);
    return text === null ? null : numberOf(text);
  };
}

function numberOf(text: string): number | null {
  return text.length <= NUMBER_LENGTH_MAX && NUMBER.test(text) ? Number(text) : null;
}

function booleanOf(text: string): boolean | null {
  if (text.length > 5) return null;
  const lower = text.toLowerCase();
  if (lower === 'true') return true;
  return lower === 'false' ? false : null;
}
