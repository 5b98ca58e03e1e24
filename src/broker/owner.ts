/** Whose a transaction or a member is, where the cluster asks who calls. */

/**
 * '' = nobody was asked, when it was made or now: then it is as if nobody ever was. What a node
 * does by itself, such as asking a webhook, is nobody's.
 */
export function isForeign(owner: string, principal: string): boolean {
  return owner !== '' && principal !== '' && owner !== principal;
}
