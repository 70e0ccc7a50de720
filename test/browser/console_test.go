package browser_test

import (
	"testing"

	"billonce/internal/programtest"
)

// TestConsole is all that people do at the console of one installation, each test with a merchant and a private window of its own.
func TestConsole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, programtest.Spawn)
	w.worker(t)
	for name, test := range map[string]func(*scene){
		"AKeySignsInAndOut":                        signsInAndOut,
		"SigningInLeadsToThePageThatWasAskedFor":   signInLeadsOn,
		"ARevokedKeyEndsItsSession":                revokedKey,
		"NothingIsShownAfterSigningOut":            afterSigningOut,
		"FiltersAreTheAddress":                     filtersAreTheAddress,
		"PagesGoOnToTheEnd":                        paging,
		"ATaskIsFoundByWhatOneWasTold":             search,
		"ATaskIsFollowedToItsEnd":                  followed,
		"TheListFollows":                           listFollows,
		"APageThatIsPausedRests":                   pausedPage,
		"ATaskTellsItsStory":                       story,
		"AReadOnlyKeySeesNoActions":                readOnly,
		"AKeyOfOneMerchantSeesThatMerchant":        oneMerchant,
		"AnotherSiteCannotAct":                     anotherSite,
		"KeysAloneSignInAndCancelATask":            keyboard,
		"APageThatIsNotThereSaysSo":                notThere,
		"WhatCustomersWroteIsTextAndNoMarkup":      noMarkup,
		"ATaskThatChangedMeanwhileIsNotCanceled":   cancelConflict,
		"ATaskThatWasSentMeanwhileIsNotCanceled":   cancelTooLate,
		"ATaskThatEndedMeanwhileIsNotMoved":        rescheduleConflict,
		"ATaskIsRepeatedOnceByTwoPeople":           retryConflict,
		"ADecisionIsNotOverruledByASecondOne":      resolveConflict,
		"AMerchantThatChangedMeanwhileIsNotPaused": pauseConflict,
		"NorIsItResumed":                           resumeConflict,
		"ABulkChangeIsForWhatItsPreviewCounted":    bulkAsOf,
		"ABulkChangeThatIsNotConfirmedIsNotMade":   bulkUnconfirmed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(w.scene(t))
		})
	}
	for name, test := range flows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("WithScripts", func(t *testing.T) {
				s := w.scene(t)
				test(s, s.tab(adminKey))
			})
			t.Run("WithoutScripts", func(t *testing.T) {
				s := w.scene(t)
				b := newTab(t, s.base)
				b.withoutScripts()
				b.signIn(adminKey)
				test(s, b)
			})
		})
	}
}

// flows are the ways to change something, each of which needs no JavaScript.
var flows = map[string]func(*scene, *tab){
	"ATaskIsCanceled":               cancel,
	"ATaskIsMoved":                  reschedule,
	"AFailedTaskIsRepeated":         retry,
	"ADoubtIsResolvedAsDone":        resolveSucceeded,
	"ADoubtIsResolvedAsNotDone":     resolveFailed,
	"AMerchantIsPausedAndResumed":   pauseAndResume,
	"TasksAreCanceledTogether":      bulkCancel,
	"TasksAreMovedTogether":         bulkReschedule,
	"TasksAreRepeatedTogether":      bulkRetry,
	"AFaultyFormIsShownWithItsText": faultyForm,
}
